//! Every subcommand's arguments: the one definition of the command line.

mod cookie;
mod udev;

use std::ffi::OsString;
use std::process::ExitCode;

use argh::FromArgs;

use crate::emit::printable;
use crate::error::Result;

/// Name, show and synchronise device-mapper devices (LVM, LUKS, multipath, …).
#[derive(FromArgs, Debug)]
pub struct Arguments {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, Debug)]
#[argh(subcommand)]
enum Command {
    Udev(udev::Udev),
    Cookie(cookie::Cookie),
    Version(Version),
}

/// Print the program's version.
#[derive(FromArgs, Debug)]
#[argh(subcommand, name = "version")]
struct Version {}

/// Runs a parsed command.
pub fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Udev(command) => command.run(),
        Command::Cookie(command) => command.run(),
        Command::Version(_) => print(concat!("dmhelper ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}

/// Parses the command line; help goes to stdout, a mistake to stderr with status 2.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> std::result::Result<Arguments, ExitCode> {
    let mut words = words.into_iter();
    let _program = words.next();
    let mut text = Vec::new();
    for word in words {
        match word.into_string() {
            Ok(word) => text.push(word),
            Err(word) => return Err(refuse(&format!("argument {}: not UTF-8", printable(word.as_encoded_bytes())))),
        }
    }
    if text.first().is_some_and(|first| first == "--version" || first == "-V") {
        text = vec!["version".to_string()];
    }
    let words: Vec<&str> = text.iter().map(String::as_str).collect();
    Arguments::from_args(&["dmhelper"], &words).map_err(|early| match early.status {
        Ok(()) => match print(&early.output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => error.exit_code(),
        },
        Err(()) => refuse(early.output.trim_end()),
    })
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("dmhelper: {message}");
    ExitCode::from(2)
}

/// Writes text to stdout at once.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| crate::error::Error::io("write", "standard output", &error))
}
