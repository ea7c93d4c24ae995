//! `partitiond`: the command.

fn main() -> std::process::ExitCode {
    if let Some(code) = transaction::sandbox::run_if_asked() {
        return code;
    }
    partitiond::cli::main()
}
