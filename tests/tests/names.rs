//! Checks that a name of a public type means one thing in the whole workspace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tallybox_tests::files::rust_files_below;
use tallybox_tests::graph::root;

/// Names that several crates may use: every program has one type of each.
const SHARED_NAMES: [&str; 5] = ["Arguments", "Command", "Config", "Error", "Metrics"];
/// Folders whose files are test code.
const TEST_FOLDERS: [&str; 4] = ["tests", "benches", "examples", "fuzz"];
/// Keywords that declare a type.
const TYPE_KEYWORDS: [&str; 4] = ["struct", "enum", "trait", "type"];

/// Returns the name of the type that a line declares as `pub`, if it declares one.
fn public_type(line: &str) -> Option<&str> {
    let (keyword, rest) = line.trim_start().strip_prefix("pub ")?.split_once(' ')?;
    let name = rest
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    // In a macro, the name is a parameter: `pub struct $type`.
    (TYPE_KEYWORDS.contains(&keyword) && !name.is_empty()).then_some(name)
}

fn is_test_attribute(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,")
}

/// Returns the first line of the item that follows an attribute.
fn item_line<'t>(lines: &mut impl Iterator<Item = &'t str>) -> Option<&'t str> {
    while let Some(line) = lines.next() {
        if !line.trim_start().starts_with("#[") {
            return Some(line);
        }
        // An attribute can have several lines.
        if !line.ends_with(']') {
            lines.find(|line| line.ends_with(']'));
        }
    }
    None
}

/// The parts of a source file that the check needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Declarations {
    /// Names of the public types outside test modules.
    types: Vec<String>,
    /// Names of the modules in other files that are compiled for tests only.
    test_modules: Vec<String>,
}

impl Declarations {
    /// Parses a source file that rustfmt has formatted.
    fn parse(text: &str) -> Self {
        let mut declarations = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !is_test_attribute(line) {
                declarations
                    .types
                    .extend(public_type(line).map(str::to_owned));
                continue;
            }
            let Some(item) = item_line(&mut lines) else {
                break;
            };
            if item.ends_with('{') {
                // rustfmt indents the closing brace like the first line.
                let indent = item.len() - item.trim_start().len();
                let end = format!("{}}}", &item[..indent]);
                lines.find(|line| *line == end);
            }
            let module = item.split_once("mod ").map(|(_, name)| name);
            let module = module.and_then(|name| name.strip_suffix(';'));
            declarations.test_modules.extend(module.map(str::to_owned));
        }
        declarations
    }
}

/// Returns the folder of the modules that a file declares.
fn module_folder(file: &Path) -> PathBuf {
    match file.file_stem().unwrap().to_str().unwrap() {
        "lib" | "main" | "mod" => file.parent().unwrap().to_owned(),
        _ => file.with_extension(""),
    }
}

fn is_test_file(file: &Path) -> bool {
    file.ends_with("tests.rs")
        || file
            .iter()
            .any(|part| TEST_FOLDERS.iter().any(|folder| part == *folder))
}

/// Returns the files that declare each public type. `sources` are relative paths and their text.
fn public_types(sources: &[(PathBuf, String)]) -> BTreeMap<String, Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut test_modules = Vec::new();
    for (file, text) in sources.iter().filter(|(file, _)| !is_test_file(file)) {
        let declarations = Declarations::parse(text);
        let folder = module_folder(file);
        test_modules.extend(
            declarations
                .test_modules
                .iter()
                .map(|name| folder.join(name)),
        );
        files.push((file, declarations.types));
    }
    let mut types: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (file, names) in files {
        let module = file.with_extension("");
        if test_modules.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        for name in names {
            types.entry(name).or_default().push(file.clone());
        }
    }
    types
}

/// Returns the public types that share a name, with their files.
fn duplicates(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut types = public_types(sources);
    types.retain(|name, files| files.len() > 1 && !SHARED_NAMES.contains(&name.as_str()));
    let sentence = |(name, files): (&String, &Vec<PathBuf>)| {
        let files: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        format!("{name} is declared in {}", files.join(", "))
    };
    types.iter().map(sentence).collect()
}

#[test]
fn public_types_of_different_crates_have_different_names() {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root()).unwrap().to_owned(), text)
    };
    let mut sources: Vec<(PathBuf, String)> =
        rust_files_below(&root()).into_iter().map(read).collect();
    sources.sort();
    let types = public_types(&sources);
    assert!(types.len() > 300, "only {} public types", types.len());
    assert_eq!(
        duplicates(&sources),
        [""; 0],
        "rename one of the types, or narrow it to pub(crate)"
    );
}

#[test]
fn the_check_of_names_can_fail() {
    let source = |file: &str, text: &str| (PathBuf::from(file), text.to_owned());
    let first = source("a/src/lib.rs", "//! A.\npub struct Report;\n");
    let with = |file: &str, text: &str| duplicates(&[first.clone(), source(file, text)]);
    for declaration in [
        "pub struct Report {",
        "pub struct Report<'a>(&'a str);",
        "pub enum Report {",
        "pub trait Report: Send {",
        "pub type Report = u8;",
        "mod inner {\n    pub struct Report;\n}",
        "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n\npub struct Report;",
        "#[cfg(test)]\nuse std::fs;\npub struct Report;",
    ] {
        assert_eq!(
            with("b/src/b.rs", declaration),
            ["Report is declared in a/src/lib.rs, b/src/b.rs"],
            "{declaration}"
        );
    }
    for declaration in [
        "struct Report;",
        "pub(crate) struct Report;",
        "pub(super) enum Report {",
        "pub(in crate::serve) struct Report;",
        "pub struct ReportStatus;",
        "pub fn Report() {}",
        "/// pub struct Report;",
        "#[cfg(test)]\npub struct Report;",
        "#[cfg(test)]\n#[allow(\n    clippy::panic,\n)]\nmod tests {\n    pub struct Report;\n}",
    ] {
        assert_eq!(with("b/src/b.rs", declaration), [""; 0], "{declaration}");
    }
    let public = "pub struct Report;";
    for file in [
        "b/src/tests.rs",
        "b/tests/b.rs",
        "b/benches/b.rs",
        "b/examples/b.rs",
        "fuzz/b.rs",
        "tests/simulation/src/b.rs",
    ] {
        assert_eq!(with(file, public), [""; 0], "{file}");
    }
    for parent in ["b/src/lib.rs", "b/src/mod.rs", "b/src.rs"] {
        let parent = source(
            parent,
            "#[cfg(test)]\n#[allow(missing_docs)]\nmod fixture;\n",
        );
        for file in ["b/src/fixture.rs", "b/src/fixture/mod.rs"] {
            let sources = [first.clone(), parent.clone(), source(file, public)];
            assert_eq!(duplicates(&sources), [""; 0], "{file}");
        }
    }
    let shared = "pub struct Config;";
    let sources = [
        source("a/src/lib.rs", shared),
        source("b/src/lib.rs", shared),
    ];
    assert_eq!(duplicates(&sources), [""; 0]);
}
