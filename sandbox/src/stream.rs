//! Parallel generation with ordered results and bounded memory.

use std::sync::mpsc;
use std::thread;

use rayon::prelude::*;

/// Makes items 0 to `count` - 1 on all cores, `chunk` at a time, and passes them one by one and in
/// order to `consume`, while the next chunk is being made. At most three chunks exist at once.
/// Blocking.
///
/// # Errors
/// Returns the first error of either function, and stops the work.
pub fn in_order<T, E>(
    count: u64,
    chunk: u64,
    make: impl Fn(u64) -> Result<T, E> + Sync,
    mut consume: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send,
    E: Send,
{
    let (sender, chunks) = mpsc::sync_channel::<Result<Vec<T>, E>>(1);
    let make = &make;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut start = 0;
            while start < count {
                let end = count.min(start + chunk.max(1));
                let items = (start..end).into_par_iter().map(make).collect();
                // The receiver has stopped: `consume` has failed, and its error is returned.
                if sender.send(items).is_err() {
                    return;
                }
                start = end;
            }
        });
        for items in chunks {
            items?.into_iter().try_for_each(&mut consume)?;
        }
        Ok(())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_whatever_the_chunks() {
        for (count, chunk) in [
            (0, 4),
            (1, 4),
            (10, 3),
            (12, 4),
            (1000, 1),
            (5, 0),
            (7, 100),
        ] {
            let mut taken = Vec::new();
            let done: Result<(), ()> = in_order(count, chunk, Ok, |item| {
                taken.push(item);
                Ok(())
            });
            assert_eq!((done, taken), (Ok(()), (0..count).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn either_side_may_fail() {
        let make = |item| if item == 500 { Err("make") } else { Ok(item) };
        assert_eq!(in_order(100_000, 10, make, |_| Ok(())), Err("make"));
        let consume = |item| if item == 7 { Err("take") } else { Ok(()) };
        assert_eq!(in_order(100_000, 10, Ok, consume), Err("take"));
    }
}
