//! Checks licences, bans and sources of all dependencies: the part of cargo-deny that needs no
//! network, from the same deny.toml.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde::Deserialize;
use tallybox_tests::graph::{Graph, Package, root};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

fn deny() -> Deny {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

impl Deny {
    /// Returns the problems of a package.
    fn faults(&self, package: &Package) -> Vec<String> {
        let shown = format!("{} {}", package.name, package.version);
        let mut faults = Vec::new();
        if let Some(source) = &package.source {
            let registry = source.strip_prefix("registry+").unwrap_or(source);
            if !self
                .sources
                .allow_registry
                .iter()
                .any(|allowed| allowed == registry)
            {
                faults.push(format!("{shown} comes from {source}"));
            }
        }
        if !self.may_be_used(package) {
            faults.push(format!("{shown} has the licence {:?}", package.license));
        }
        faults.extend(
            self.bans
                .deny
                .iter()
                .filter(|ban| ban.hits(package))
                .map(|ban| format!("{shown}: {}", ban.reason)),
        );
        faults
    }

    fn may_be_used(&self, package: &Package) -> bool {
        // Old crates write "MIT/Apache-2.0" for the expression "MIT OR Apache-2.0".
        let license = package.license.as_deref();
        let expression =
            license.and_then(|text| spdx::Expression::parse_mode(text, spdx::ParseMode::LAX).ok());
        let exceptions = self
            .licenses
            .exceptions
            .iter()
            .filter(|exception| exception.name == package.name);
        let allow: Vec<&String> = exceptions
            .flat_map(|exception| &exception.allow)
            .chain(&self.licenses.allow)
            .collect();
        let allowed = |requirement: &spdx::LicenseReq| {
            allow.iter().any(|text| **text == requirement.to_string())
        };
        expression.is_some_and(|expression| expression.evaluate(allowed))
    }
}

impl Ban {
    /// Returns whether the ban matches. `name` bans every version, `name:<1.2` the matching ones.
    fn hits(&self, package: &Package) -> bool {
        let (name, versions) = self.name.split_once(':').unwrap_or((&self.name, "*"));
        let versions =
            semver::VersionReq::parse(versions).expect("a version requirement in deny.toml");
        name == package.name && versions.matches(&semver::Version::parse(&package.version).unwrap())
    }
}

#[test]
fn every_dependency_may_be_here() {
    let (deny, graph) = (deny(), Graph::load(&["--all-features"]));
    assert!(
        graph.packages.len() > 200,
        "only {} packages",
        graph.packages.len()
    );
    let faults: Vec<String> = graph
        .packages
        .values()
        .flat_map(|package| deny.faults(package))
        .collect();
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_check_can_fail() {
    let deny = deny();
    let package = |name: &str, version: &str, license: &str, source: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        license: Some(license.to_owned()),
        source: Some(source.to_owned()),
    };
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    assert!(
        deny.faults(&package("a", "1.0.0", "MIT OR GPL-3.0-only", registry))
            .is_empty()
    );
    assert!(
        deny.faults(&package("a", "1.0.0", "MIT/Apache-2.0", registry))
            .is_empty()
    );
    for bad in [
        package("a", "1.0.0", "GPL-3.0-only", registry),
        package("a", "1.0.0", "LGPL-3.0-only", registry),
        package("a", "1.0.0", "MIT AND GPL-3.0-only", registry),
        package("a", "1.0.0", "MIT", "git+https://example.org/a"),
        package("a", "1.0.0", "MIT", "registry+https://example.org/index"),
        package("serde_yml", "0.0.12", "MIT", registry),
        package("rustls", "0.21.7", "MIT", registry),
        Package {
            license: None,
            ..package("a", "1.0.0", "MIT", registry)
        },
    ] {
        assert_eq!(deny.faults(&bad).len(), 1, "{bad:?}");
    }
    assert!(
        deny.faults(&package("rustls", "0.23.1", "MIT", registry))
            .is_empty()
    );
}
