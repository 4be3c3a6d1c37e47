//! Runs seeds.
fn main() {
    let first: u64 = std::env::args().nth(1).map_or(1, |text| text.parse().expect("a number"));
    let count: u64 = std::env::args().nth(2).map_or(1, |text| text.parse().expect("a number"));
    let trace = std::env::args().nth(3).is_some();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let start = std::time::Instant::now();
    let mut counts = tallybox_simulation::counts::Counts::default();
    for seed in first..first + count {
        let cuts = Default::default();
        let outcome = runtime.block_on(tallybox_simulation::run::run(seed, &cuts, trace));
        let again = runtime.block_on(tallybox_simulation::run::run(seed, &cuts, false));
        if again.digest != outcome.digest { println!("seed {seed} is not deterministic"); }
        counts.merge(&outcome.counts);
        for problem in outcome.problems { println!("{seed}: {problem}"); }
    }
    println!("{:?} {:?}", start.elapsed(), counts);
}
