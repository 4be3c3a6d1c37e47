//! Entry point of the quick start.

fn main() -> std::process::ExitCode {
    tallybox_sandbox::cli::main()
}
