//! The limit of open files. Each connection uses one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard limit and returns the limit; `None` means
/// unlimited.
#[must_use]
pub fn open_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // The soft limit stays in force if the system refuses.
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_hard_limit_afterwards() {
        let limit = open_file_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, limit);
    }
}
