//! `partitiond`: the command.

fn main() -> std::process::ExitCode {
    partitiond::cli::main()
}
