//! Hardening of a process that holds secrets in memory.

/// The environment variable that permits core files and debuggers, for an operator who hunts a crash.
pub const ALLOW_CORE_FILES: &str = "TALLYBOX_ALLOW_CORE_FILES";

/// Forbids core files and debuggers of other processes of the same user, since memory holds private keys and shares.
/// [`ALLOW_CORE_FILES`]`=1` in the environment leaves both as they are.
///
/// A system that refuses either call runs the program all the same: it is a second line of defence.
pub fn protect_memory() {
    if std::env::var_os(ALLOW_CORE_FILES).is_some_and(|value| value == "1") {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
