//! The `dmhelper` program: run, report, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    dmhelper::log::start();
    match dmhelper::cli::run(std::env::args_os()) {
        Ok(status) => status,
        Err(error) => {
            if !error.is_closed_pipe() {
                log::error!("{error}");
            }
            error.exit_code()
        }
    }
}
