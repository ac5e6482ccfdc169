//! Work on a long list by several threads, its results taken in the list's order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Items a thread takes at once: enough that handing over costs nothing, few enough that all threads have some.
const PORTION: usize = 64;
/// Portions a thread may be ahead of whoever takes the results, which bounds the memory they lie in.
const AHEAD: usize = 8;

/// Does `work` on portions of `items` and gives the results to `take`, in order. The first error ends it.
pub(super) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<R, E> + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let portions: Vec<&[T]> = items.chunks(PORTION).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(4).min(portions.len());
    if threads < 2 {
        return portions
            .into_iter()
            .try_for_each(|portion| take(work(portion)?));
    }
    std::thread::scope(|scope| {
        let mut results: Vec<Receiver<Result<R, E>>> = Vec::with_capacity(threads);
        for first in 0..threads {
            let (sender, receiver) = sync_channel(AHEAD);
            results.push(receiver);
            let own = portions.iter().skip(first).step_by(threads).copied();
            let work = &work;
            scope.spawn(move || feed(own, work, &sender));
        }
        for number in 0..portions.len() {
            // A thread that ends without an answer has panicked, which the scope passes on.
            let Ok(result) = results[number % threads].recv() else {
                break;
            };
            take(result?)?;
        }
        Ok(())
    })
}

fn feed<'p, T: 'p, R, E>(
    portions: impl Iterator<Item = &'p [T]>,
    work: impl Fn(&[T]) -> Result<R, E>,
    sender: &SyncSender<Result<R, E>>,
) {
    for portion in portions {
        let result = work(portion);
        let failed = result.is_err();
        // Nobody takes results any more once one has failed.
        if sender.send(result).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        let mut taken = Vec::new();
        let work = |portion: &[usize]| Ok::<_, usize>(portion.to_vec());
        each(&items, work, |portion| {
            taken.extend(portion);
            Ok(())
        })
        .unwrap();
        assert_eq!(taken, items);
        let fails = |portion: &[usize]| {
            if portion.contains(&500) {
                Err(500)
            } else {
                Ok(portion.len())
            }
        };
        let mut seen = 0;
        let ended = each(&items, fails, |count| {
            seen += count;
            Ok(())
        });
        assert_eq!((ended, seen), (Err(500), 448));
    }
}
