use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};

use crate::devno::Devno;
use crate::error::{Error, Result};
use crate::info::Roots;
use crate::stdio;
use crate::survey::Survey;
use crate::text::printable;
use crate::translate::{Reference, Translator};

/// Put names in the place of dm-3, /dev/dm-3 and 253:3 in a log: from standard input to standard output.
#[derive(ArgsInfo, FromArgs, Debug)]
#[argh(subcommand, name = "translate")]
pub(super) struct Translate {}

/// How much is read at once.
const PIECE: usize = 64 << 10;

impl Translate {
    pub(super) fn run(self) -> Result<()> {
        let roots = Roots::default();
        let (mut input, mut output) = (std::io::stdin().lock(), stdio::stdout()?.lock());
        let mut names = Names::new(&roots);
        let (mut piece, mut out) = (vec![0; PIECE], Vec::with_capacity(2 * PIECE));
        let mut translator = Translator::default();
        loop {
            let length = match input.read(&mut piece) {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("read", "standard input", &error)),
            };
            match piece.get(..length) {
                Some(piece) if length > 0 => translator.feed(piece, &mut out, |reference| names.name(reference)),
                _ => translator.finish(&mut out, |reference| names.name(reference)),
            }
            output.write_all(&out).and_then(|()| output.flush()).map_err(|error| Error::io("write", "standard output", &error))?;
            out.clear();
            if length == 0 {
                return Ok(());
            }
        }
    }
}

/// What devices are called, as of a moment ago.
struct Names<'a> {
    roots: &'a Roots,
    /// `None` while it cannot be had: a filter that ends would lose the log.
    survey: Option<Survey<'a>>,
    /// Kernel's names looked up since then.
    numbers: BTreeMap<String, Option<Devno>>,
    taken: Instant,
}

/// How many kernel's names are remembered.
const NUMBERS_MAX: usize = 4096;

/// How long names are believed, and at most how often they are asked for.
const FRESH: Duration = Duration::from_secs(1);

impl<'a> Names<'a> {
    fn new(roots: &'a Roots) -> Self {
        let survey = Survey::open(roots).map_err(|error| log::warn!("translate: nothing is replaced: {error}")).ok();
        Self { roots, survey, numbers: BTreeMap::new(), taken: Instant::now() }
    }

    fn name(&mut self, reference: Reference<'_>) -> Option<String> {
        if self.taken.elapsed() > FRESH {
            // One that fails leaves what was known.
            if let Ok(survey) = Survey::open(self.roots) {
                self.survey = Some(survey);
                self.numbers.clear();
            }
            self.taken = Instant::now();
        }
        match reference {
            Reference::Number(devno) => self.of_number(devno),
            Reference::Kernel(kernel) => self.of_kernel(kernel),
            Reference::Node(kernel) => self.of_kernel(kernel).map(|name| format!("/dev/mapper/{name}")),
        }
    }

    fn of_number(&self, devno: Devno) -> Option<String> {
        self.survey.as_ref()?.listed(devno).map(|device| printable(device.name.as_bytes()))
    }

    fn of_kernel(&mut self, kernel: &str) -> Option<String> {
        let devno = match self.numbers.get(kernel) {
            Some(devno) => *devno,
            None => {
                let devno = self.survey.as_ref()?.number_of_kernel_name(kernel.as_bytes());
                // A text may be made of names that are none.
                if self.numbers.len() >= NUMBERS_MAX {
                    self.numbers.clear();
                }
                self.numbers.insert(kernel.to_string(), devno);
                devno
            }
        };
        self.of_number(devno?)
    }
}
