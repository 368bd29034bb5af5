//! The `dmhelper` program: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match dmhelper::cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    dmhelper::log::start();
    match dmhelper::cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            error.exit_code()
        }
    }
}
