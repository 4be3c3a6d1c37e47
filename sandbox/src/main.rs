//! Entry point of `tallybox-sandbox`.

fn main() -> std::process::ExitCode {
    tallybox_sandbox::cli::main()
}
