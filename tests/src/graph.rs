//! The dependency graph of the workspace, as cargo reports it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the folder of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A package of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// The licence expression.
    pub license: Option<String>,
    /// The source; `None` for packages of the workspace.
    pub source: Option<String>,
}

/// All packages by cargo's identifier, and their dependencies without those of tests only.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The packages.
    pub packages: BTreeMap<String, Package>,
    /// The dependencies of each package.
    pub needs: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Runs `cargo metadata` with these additional arguments. The command needs the packages of all
    /// platforms, while a build fetches only those of its own platform, so it may download the
    /// others. With `--locked` it uses the network for nothing else.
    ///
    /// # Panics
    /// If cargo fails.
    #[must_use]
    pub fn load(arguments: &[&str]) -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(arguments)
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self::parse(&serde_json::from_slice(&output.stdout).expect("cargo prints JSON"))
    }

    /// Parses the output of `cargo metadata`.
    ///
    /// # Panics
    /// If the output has an unknown form.
    #[must_use]
    pub fn parse(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut graph = Self::default();
        for package in metadata["packages"].as_array().expect("packages") {
            let id = text(&package["id"]).expect("an id");
            let (name, version) = (
                text(&package["name"]).expect("a name"),
                text(&package["version"]).expect("a version"),
            );
            let (license, source) = (text(&package["license"]), text(&package["source"]));
            graph.packages.insert(
                id,
                Package {
                    name,
                    version,
                    license,
                    source,
                },
            );
        }
        for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
            let needed = node["deps"].as_array().expect("deps").iter().filter(|dep| {
                dep["dep_kinds"]
                    .as_array()
                    .expect("kinds")
                    .iter()
                    .any(|kind| kind["kind"] != "dev")
            });
            let needed = needed
                .map(|dep| text(&dep["pkg"]).expect("a package"))
                .collect();
            graph
                .needs
                .insert(text(&node["id"]).expect("an id"), needed);
        }
        // Omit packages that are resolved, but not used.
        let used: BTreeSet<String> = graph.needs.keys().cloned().collect();
        graph.packages.retain(|id, _| used.contains(id));
        graph
    }

    /// Returns the packages of the workspace.
    pub fn members(&self) -> impl Iterator<Item = (&String, &Package)> {
        self.packages
            .iter()
            .filter(|(_, package)| package.source.is_none())
    }

    /// Returns the names of all packages on which this one depends, directly or indirectly.
    #[must_use]
    pub fn reaches(&self, name: &str) -> BTreeSet<String> {
        let start = self
            .packages
            .iter()
            .find(|(_, package)| package.name == name)
            .map(|(id, _)| id.clone());
        let (mut reached, mut open) = (BTreeSet::new(), Vec::from_iter(start));
        while let Some(id) = open.pop() {
            for next in self.needs.get(&id).into_iter().flatten() {
                if reached.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        reached
            .iter()
            .filter_map(|id| self.packages.get(id))
            .map(|package| package.name.clone())
            .collect()
    }

    /// Returns the names of the workspace packages on which this one depends directly.
    #[must_use]
    pub fn own_needs(&self, id: &str) -> BTreeSet<String> {
        let needs = self
            .needs
            .get(id)
            .into_iter()
            .flatten()
            .filter_map(|id| self.packages.get(id));
        needs
            .filter(|package| package.source.is_none())
            .map(|package| package.name.clone())
            .collect()
    }
}
