//! Tests of the help texts and of the commands' results.

use std::path::Path;

use clap::CommandFactory as _;

use super::*;

fn help(subcommand: Option<&str>) -> String {
    let mut command = Arguments::command();
    let command = match subcommand {
        Some(name) => command.find_subcommand_mut(name).unwrap(),
        None => &mut command,
    };
    command.render_long_help().to_string()
}

#[test]
fn the_command_line_is_well_formed() {
    Arguments::command().debug_assert();
}

#[test]
fn help_teaches_by_example() {
    let run = help(None);
    for text in [
        "Examples:",
        "tallybox-sandbox --dir demo",
        "inspect demo/buckets/sum-first",
        "tallybox-sandbox --json --seed 1",
        "generate --packets 100000 --bins 8 --dir bench",
        "PeriodicExposureNotification-v1",
        "For tests only",
    ] {
        assert!(run.contains(text), "{text}");
    }
    assert_eq!(
        help(Some("run"))
            .matches("tallybox-sandbox --dir demo")
            .count(),
        1
    );
    let generate = help(Some("generate"));
    for text in [
        "generated.json",
        "Packets per batch",
        "intake-batch",
        "--point-per-packet",
    ] {
        assert!(generate.contains(text), "{text}");
    }
}

/// Checks that the command line parser accepts the examples.
#[test]
fn examples_parse() {
    let examples = [EXAMPLES_OF_RUN, EXAMPLES_OF_GENERATE];
    let lines = examples.iter().flat_map(|text| text.lines()).map(str::trim);
    let mut parsed = 0;
    for line in lines.filter(|line| line.starts_with("tallybox-sandbox")) {
        let words = line.split('|').next().unwrap().split_whitespace();
        Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        parsed += 1;
    }
    assert_eq!(parsed, 8);
}

#[test]
fn serving_has_options_of_its_own() {
    let parse = |words: &[&str]| {
        Arguments::try_parse_from(["tallybox-sandbox"].iter().chain(words))
            .unwrap()
            .run
    };
    let plain = parse(&["--serve"]);
    assert!(plain.serve && !plain.chaos && plain.packets.is_none() && plain.traffic.is_none());
    assert_eq!(plain.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(plain.debug_listen.to_string(), "127.0.0.1:8082");
    let words = [
        "--serve",
        "--listen",
        "127.0.0.1:0",
        "--debug-listen",
        "[::1]:9000",
        "--packets",
        "5",
    ];
    let all = parse(&words);
    assert_eq!(
        (all.listen.port(), all.debug_listen.port(), all.packets),
        (0, 9000, Some(5))
    );
    let chaos = parse(&["--serve", "--chaos", "--for", "60", "--traffic", "0.5"]);
    assert_eq!(
        (chaos.chaos, chaos.lasting, chaos.traffic),
        (true, Some(60), Some(0.5))
    );
    for words in [
        &["--listen", "127.0.0.1:0"][..],
        &["--chaos"],
        &["--for", "5"],
        &["--serve", "--debug-listen", "here"],
    ] {
        assert!(
            Arguments::try_parse_from(["tallybox-sandbox"].iter().chain(words)).is_err(),
            "{words:?}"
        );
    }
}

#[test]
fn nonsense_is_refused() {
    for words in [
        &["--metric", "unheardOf-v1"][..],
        &["--packets", "many"],
        &["generate", "--packets", "1", "--bins", "1"],
        &[
            "--packets",
            "10",
            "generate",
            "--packets",
            "1",
            "--bins",
            "1",
            "--dir",
            "x",
        ],
        &[
            "generate",
            "--packets",
            "1",
            "--bins",
            "1",
            "--dir",
            "x",
            "--aggregation",
            "a/b",
        ],
    ] {
        let words = ["tallybox-sandbox"].iter().chain(words);
        assert!(
            Arguments::try_parse_from(words.clone()).is_err(),
            "{words:?}"
        );
    }
    let json_first = ["tallybox-sandbox", "run", "--json", "--quiet"];
    assert!(Arguments::try_parse_from(json_first).unwrap().output.json);
}

#[tokio::test]
async fn the_document_for_machines_is_json() {
    let cli = Arguments::try_parse_from(["tallybox-sandbox", "--packets", "48", "--json"]).unwrap();
    let report = run_command(&cli.run, cli.output).await.unwrap();
    let text = serde_json::to_string(&report).unwrap();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["outcome"], "done");
    assert_eq!(read["honest-packets"], 48);
    assert_eq!(read["metrics"].as_array().unwrap().len(), 4);
    assert_eq!(read["metrics"][3]["sums"].as_array().unwrap().len(), 48);
    assert!(read["hostile"][0]["first"].is_string());
    assert!(
        !Path::new(read["directory"].as_str().unwrap()).exists(),
        "the temporary directory is removed"
    );
}

#[tokio::test]
async fn a_directory_that_is_named_or_kept_stays() {
    let parent = tempfile::tempdir().unwrap();
    let demo = parent.path().join("demo");
    let words = [
        "tallybox-sandbox",
        "--packets",
        "48",
        "--dir",
        demo.to_str().unwrap(),
        "--quiet",
    ];
    let cli = Arguments::try_parse_from(words).unwrap();
    let report = run_command(&cli.run, cli.output).await.unwrap();
    assert!(report.outcome.kept && demo.join("first.yaml").exists());
    let error = run_command(&cli.run, cli.output).await.unwrap_err();
    assert_eq!(
        (error.exit(), error.failure().reason.as_str()),
        (Exit::Usage, "directory-in-use")
    );

    let cli = Arguments::try_parse_from(["tallybox-sandbox", "--packets", "48", "--keep"]).unwrap();
    let report = run_command(&cli.run, cli.output).await.unwrap();
    assert!(report.outcome.kept && report.outcome.directory.join("second.yaml").exists());
    std::fs::remove_dir_all(&report.outcome.directory).unwrap();
}
