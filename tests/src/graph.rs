//! The dependency graph of the workspace, as cargo sees it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A package of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence expression.
    pub license: Option<String>,
    /// Where it comes from; `None` for our own.
    pub source: Option<String>,
}

/// Packages by cargo's identifier, and what each needs (without what only its tests need).
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All packages.
    pub packages: BTreeMap<String, Package>,
    /// The dependencies of each.
    pub needs: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Asks `cargo metadata`, with these arguments added. It reads the packages of all platforms, of which a build has
    /// fetched those of its own only, so it may have to download; with `--locked` it uses no network otherwise.
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
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::parse(&serde_json::from_slice(&output.stdout).expect("cargo prints JSON"))
    }

    /// Reads the answer of `cargo metadata`.
    ///
    /// # Panics
    /// If it is not of the known form.
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
            let needed = needed.map(|dep| text(&dep["pkg"]).expect("a package")).collect();
            graph.needs.insert(text(&node["id"]).expect("an id"), needed);
        }
        // Packages that are only known and not used are left out.
        let used: BTreeSet<String> = graph.needs.keys().cloned().collect();
        graph.packages.retain(|id, _| used.contains(id));
        graph
    }

    /// Our own packages.
    pub fn members(&self) -> impl Iterator<Item = (&String, &Package)> {
        self.packages.iter().filter(|(_, package)| package.source.is_none())
    }

    /// The names of all packages that this one needs, directly or not.
    #[must_use]
    pub fn reaches(&self, name: &str) -> BTreeSet<String> {
        let start = self
            .packages
            .iter()
            .find(|(_, package)| package.name == name)
            .map(|(id, _)| id.clone());
        let (mut seen, mut open) = (BTreeSet::new(), Vec::from_iter(start));
        while let Some(id) = open.pop() {
            for next in self.needs.get(&id).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen.iter()
            .filter_map(|id| self.packages.get(id))
            .map(|package| package.name.clone())
            .collect()
    }

    /// The names of our own packages that this one needs directly.
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
