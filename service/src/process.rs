//! Hardening of a process that holds secrets in memory.

/// The environment variable that permits core files and debuggers, for analysing a crash.
pub const ALLOW_CORE_FILES: &str = "TALLYBOX_ALLOW_CORE_FILES";

/// Disables core files, and debugging by other processes of the same user, because memory holds
/// private keys and shares. `=1` in [`ALLOW_CORE_FILES`] leaves both enabled.
///
/// Errors of the system calls are ignored: this is a second line of defence.
pub fn protect_memory() {
    if std::env::var_os(ALLOW_CORE_FILES).is_some_and(|value| value == "1") {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{
            DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit,
        };
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
