//! The version, commit and features of a program, for `--version` and the metric `build_info`.

use std::fmt;

/// The version of all programs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that the programs are built from; `unknown` outside a checkout. Development builds
/// append `+`, because their sources may be later.
pub const COMMIT: &str = match option_env!("TALLYBOX_BUILD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The identity of a built program.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// The program's name.
    pub program: &'static str,
    features: &'static [(&'static str, bool)],
}

impl Build {
    /// Describes a program and its cargo features; true means that a feature is enabled.
    #[must_use]
    pub const fn new(program: &'static str, features: &'static [(&'static str, bool)]) -> Self {
        Self { program, features }
    }

    /// Returns the enabled features, separated by commas; `none` if there are none.
    #[must_use]
    pub fn features(&self) -> String {
        let on = self.features.iter().filter(|(_, on)| *on);
        let on: Vec<&str> = on.map(|(name, _)| *name).collect();
        match on.as_slice() {
            [] => "none".to_owned(),
            on => on.join(","),
        }
    }
}

impl fmt::Display for Build {
    /// Writes `0.1.0 (commit 0123456789ab, features cloud,kubernetes)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION} (commit {COMMIT}")?;
        if !self.features.is_empty() {
            write!(f, ", features {}", self.features())?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_names_version_commit_and_features() {
        let build = Build::new(
            "x",
            &[("cloud", true), ("fetch", false), ("kubernetes", true)],
        );
        let expected = format!("{VERSION} (commit {COMMIT}, features cloud,kubernetes)");
        assert_eq!(build.to_string(), expected);
        assert_eq!(Build::new("x", &[("cloud", false)]).features(), "none");
        let without = format!("{VERSION} (commit {COMMIT})");
        assert_eq!(Build::new("x", &[]).to_string(), without);
        assert!(
            !COMMIT.is_empty() && !COMMIT.contains(char::is_whitespace),
            "{COMMIT}"
        );
    }
}
