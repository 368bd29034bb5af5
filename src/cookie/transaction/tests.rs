use super::*;
use std::time::Duration;

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(20))
}

#[test]
fn a_transaction_without_events_is_complete_and_leaves_nothing() {
    let transaction = Transaction::begin().unwrap();
    let cookie = transaction.cookie();
    assert!(matches!(transaction.wait(soon()).unwrap(), Outcome::Complete));
    assert!(Semaphore::open(cookie).is_err());
}

#[test]
fn the_event_number_carries_the_flags_and_the_base() {
    let mut transaction = Transaction::begin().unwrap();
    let number = Cookie::new(transaction.expect_event(Flags::LOW_PRIORITY).unwrap());
    assert_eq!(number.flags(), Flags::LOW_PRIORITY.union(Flags::PRIMARY_SOURCE));
    assert_eq!(number.key(), transaction.cookie().key());
    assert_eq!(transaction.missing().unwrap(), 1);
    transaction.retract_event().unwrap();
    assert_eq!(transaction.missing().unwrap(), 0);
}

#[test]
fn a_transaction_that_times_out_can_be_waited_for_again() {
    let mut transaction = Transaction::begin().unwrap();
    let number = Cookie::new(transaction.expect_event(Flags::default()).unwrap());
    let Outcome::TimedOut(transaction) = transaction.wait(soon()).unwrap() else { panic!("nobody has completed it") };
    assert_eq!(transaction.missing().unwrap(), 1);
    assert_eq!(super::super::sem::complete(number.key().unwrap()), Ok(Completion::Done));
    assert!(matches!(transaction.wait(soon()).unwrap(), Outcome::Complete));
}

#[test]
fn what_is_dropped_or_cancelled_leaves_nothing_and_what_is_kept_stays() {
    let mut transaction = Transaction::begin().unwrap();
    transaction.expect_event(Flags::default()).unwrap();
    let cookie = transaction.cookie();
    drop(transaction);
    assert!(Semaphore::open(cookie).is_err());

    let kept = Transaction::begin().unwrap().keep();
    let semaphore = Semaphore::open(kept).unwrap();
    Transaction::from_backend(semaphore).cancel().unwrap();
    assert!(Semaphore::open(kept).is_err());
}

#[test]
fn a_cookie_removed_by_somebody_else_is_said_to_be() {
    let mut transaction = Transaction::begin().unwrap();
    transaction.expect_event(Flags::default()).unwrap();
    Semaphore::open(transaction.cookie()).unwrap().remove().unwrap();
    assert!(matches!(transaction.wait(soon()).unwrap(), Outcome::Removed));
}

/// A backend without a kernel: callers need not change for it.
struct Counter(std::cell::Cell<u32>);

impl Backend for Counter {
    fn begin() -> Result<Self> {
        Ok(Counter(0.into()))
    }
    fn cookie(&self) -> Cookie {
        Cookie::new(0x0d4d_0007)
    }
    fn add(&self) -> Result<()> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
    fn complete(&self) -> Result<()> {
        self.0.set(self.0.get() - 1);
        Ok(())
    }
    fn missing(&self) -> Result<u32> {
        Ok(self.0.get())
    }
    fn wait(&self, _: Option<Instant>) -> Result<Waited> {
        Ok(if self.0.get() == 0 { Waited::Complete } else { Waited::TimedOut })
    }
    fn remove(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn another_backend_needs_no_other_caller() {
    let mut transaction = Transaction::<Counter>::begin_with().unwrap();
    assert_eq!(transaction.expect_event(Flags::default()).unwrap(), 0x0040_0007);
    let Outcome::TimedOut(mut transaction) = transaction.wait(None).unwrap() else { panic!("one event is missing") };
    transaction.retract_event().unwrap();
    assert!(matches!(transaction.wait(None).unwrap(), Outcome::Complete));
}
