//! Questions of many tasks at the same moment, sent as one.
//!
//! A question goes out at once as long as few are on their way, and none of them is the same. What is asked later waits for one of those to
//! end, and then goes with all that waits: where many ask, a driver and a server do the work of a statement once for several, and not for
//! each. Who asks the same as the one before, as many do who want what nobody has, gets the same answer.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Sends questions.
pub(super) trait Sends: Send + Sync + 'static {
    type Question: Clone + Send + 'static;
    type Answer: Send + 'static;

    /// Tells whether the answer of the one is that of the other too.
    fn is_same(one: &Self::Question, other: &Self::Question) -> bool;

    /// Makes one of two questions that are the same.
    fn join(_one: &mut Self::Question, _other: Self::Question) {}

    /// Answers all questions, in their order.
    fn send(
        &self,
        questions: Vec<Self::Question>,
    ) -> impl Future<Output = Vec<Self::Answer>> + Send;

    /// Returns an answer once more, for another one who asked the same.
    fn again(answer: &Self::Answer) -> Self::Answer;

    /// So many are on their way at once: while one is answered, the server works on the next.
    const FLIGHTS: usize;

    /// So many go as one: the first is not to wait long for the last.
    const MOST: usize = 128;
}

/// What waits to be sent.
pub(super) struct Gather<S: Sends> {
    sender: S,
    waiting: Mutex<Waiting<S>>,
}

struct Waiting<S: Sends> {
    /// Those on their way by their numbers, each with the last of its questions as soon as it has taken any.
    flights: Vec<(u64, Option<S::Question>)>,
    flown: u64,
    /// Where anybody waits, a flight comes for him.
    asked: Vec<Asked<S>>,
}

type Asked<S> = (
    <S as Sends>::Question,
    oneshot::Sender<<S as Sends>::Answer>,
);

impl<S: Sends> Gather<S> {
    pub(super) fn new(sender: S) -> Arc<Self> {
        Arc::new(Self {
            sender,
            waiting: Mutex::new(Waiting {
                flights: Vec::with_capacity(S::FLIGHTS),
                flown: 0,
                asked: Vec::new(),
            }),
        })
    }

    /// Asks, whoever waits for the answer. Nobody's answer depends on when another one looks at his.
    pub(super) fn ask(self: &Arc<Self>, question: S::Question) -> oneshot::Receiver<S::Answer> {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.lock();
        let alone = waiting.flights.len() < S::FLIGHTS && !waiting.is_asked(&question);
        waiting.asked.push((question, answer));
        if alone {
            waiting.flown += 1;
            let number = waiting.flown;
            waiting.flights.push((number, None));
            drop(waiting);
            let gather = self.clone();
            let number = Some(number);
            tokio::spawn(Flight { gather, number }.fly());
        }
        answered
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<S>> {
        // Nothing between lock and unlock can leave it half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Sends> Waiting<S> {
    /// Tells whether the same is on its way, or was the last to be asked for and waits.
    fn is_asked(&self, question: &S::Question) -> bool {
        let on_their_way = self.flights.iter().filter_map(|(_, last)| last.as_ref());
        let waits = self.asked.last().map(|(question, _)| question);
        let mut all = on_their_way.chain(waits);
        all.any(|asked| S::is_same(asked, question))
    }

    fn land(&mut self, flight: u64) {
        self.flights.retain(|(number, _)| *number != flight);
    }
}

impl<S: Sends> fmt::Debug for Gather<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

/// One of those on their way.
struct Flight<S: Sends> {
    gather: Arc<Gather<S>>,
    /// `None` when it has landed.
    number: Option<u64>,
}

impl<S: Sends> Flight<S> {
    async fn fly(mut self) {
        while let Some(asked) = self.next() {
            let mut questions = Vec::with_capacity(asked.len().min(S::MOST));
            // Whose answer is that of which question.
            let mut who = Vec::with_capacity(asked.len());
            for (question, to) in asked {
                // Whoever is gone needs no answer.
                if to.is_closed() {
                    continue;
                }
                match questions.last_mut() {
                    Some(asked) if S::is_same(asked, &question) => S::join(asked, question),
                    _ => questions.push(question),
                }
                who.push((questions.len(), to));
            }
            if questions.is_empty() {
                continue;
            }
            let all = self.gather.sender.send(questions).await;
            let mut who = who.into_iter().peekable();
            for (answer, nth) in all.into_iter().zip(1..) {
                while let Some((_, to)) = who.next_if(|(of, _)| *of == nth) {
                    if who.peek().is_none_or(|(of, _)| *of != nth) {
                        _ = to.send(answer);
                        break;
                    }
                    _ = to.send(S::again(&answer));
                }
            }
        }
    }

    /// Takes what waits, or lands: nobody may come between the look and the landing.
    fn next(&mut self) -> Option<Vec<Asked<S>>> {
        let mut waiting = self.gather.lock();
        if waiting.asked.is_empty() {
            waiting.land(self.number.take()?);
            return None;
        }
        let some = first::<S>(&waiting.asked);
        let taken: Vec<_> = waiting.asked.drain(..some).collect();
        let mut flights = waiting.flights.iter_mut();
        if let Some((_, last)) = flights.find(|(number, _)| Some(*number) == self.number) {
            *last = taken.last().map(|(question, _)| question.clone());
        }
        Some(taken)
    }
}

/// How many go together: what comes before there are too many questions.
fn first<S: Sends>(asked: &[Asked<S>]) -> usize {
    let differ =
        |pair: &[Asked<S>]| matches!(pair, [(one, _), (next, _)] if !S::is_same(one, next));
    let mut other = (1..).zip(asked.windows(2)).filter(|(_, pair)| differ(pair));
    other.nth(S::MOST - 1).map_or(asked.len(), |(at, _)| at)
}

impl<S: Sends> Drop for Flight<S> {
    fn drop(&mut self) {
        let Some(number) = self.number.take() else {
            return;
        };
        // Its runtime ended, or it panicked.
        let mut waiting = self.gather.lock();
        waiting.land(number);
        if waiting.flights.is_empty() {
            // Nobody is left to take them: those who wait are told.
            waiting.asked.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    /// Doubles numbers, so many flights at a time, as soon as it may.
    struct Doubles<const FLIGHTS: usize> {
        sent: Mutex<Vec<usize>>,
        may: Semaphore,
    }

    impl<const FLIGHTS: usize> Sends for Doubles<FLIGHTS> {
        type Question = u64;
        type Answer = u64;
        const FLIGHTS: usize = FLIGHTS;

        fn is_same(one: &u64, other: &u64) -> bool {
            one == other
        }

        fn again(answer: &u64) -> u64 {
            *answer
        }

        async fn send(&self, questions: Vec<u64>) -> Vec<u64> {
            self.sent.lock().unwrap().push(questions.len());
            self.may.acquire().await.unwrap().forget();
            questions.into_iter().map(|n| n * 2).collect()
        }
    }

    fn doubles<const FLIGHTS: usize>() -> Arc<Gather<Doubles<FLIGHTS>>> {
        Gather::new(Doubles {
            sent: Mutex::default(),
            may: Semaphore::new(0),
        })
    }

    async fn has_sent<const FLIGHTS: usize>(gather: &Gather<Doubles<FLIGHTS>>, flights: usize) {
        while gather.sender.sent.lock().unwrap().len() < flights {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_same_is_not_on_its_way_twice() {
        let gather = doubles::<3>();
        let first = gather.ask(1);
        has_sent(&gather, 1).await;
        let again = gather.ask(1);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*gather.sender.sent.lock().unwrap(), [1]);
        let other = gather.ask(2);
        // Whoever asks for something else takes along who waits.
        has_sent(&gather, 2).await;
        let once_more = [gather.ask(1), gather.ask(2), gather.ask(2)];
        let another = gather.ask(3);
        has_sent(&gather, 3).await;
        let waits = gather.ask(3);
        gather.sender.may.add_permits(10);
        for (asked, answer) in [(first, 2), (again, 2), (other, 4), (another, 6), (waits, 6)] {
            assert_eq!(asked.await, Ok(answer));
        }
        for (asked, answer) in once_more.into_iter().zip([2, 4, 4]) {
            assert_eq!(asked.await, Ok(answer));
        }
        assert_eq!(*gather.sender.sent.lock().unwrap(), [1, 2, 3, 1]);
        assert!(gather.lock().flights.is_empty());
    }

    #[tokio::test]
    async fn what_comes_while_one_is_on_its_way_goes_together() {
        let gather = doubles::<1>();
        let first = gather.ask(1);
        has_sent(&gather, 1).await;
        let mut rest: Vec<_> = (2..300).map(|n| gather.ask(n)).collect();
        // Whoever is gone is not asked for.
        rest.truncate(290);
        gather.sender.may.add_permits(10);
        assert_eq!(first.await, Ok(2));
        for (n, answer) in (2..).zip(rest) {
            assert_eq!(answer.await, Ok(n * 2));
        }
        assert_eq!(*gather.sender.sent.lock().unwrap(), [1, 128, 128, 34]);
        // It goes on after all have landed.
        assert_eq!(gather.ask(7).await, Ok(14));
    }

    #[tokio::test]
    async fn who_asks_the_same_as_the_one_before_gets_the_same_answer() {
        let gather = doubles::<1>();
        let first = gather.ask(1);
        has_sent(&gather, 1).await;
        let asks = |n: u64| (0..1_000).map(move |_| n).chain([n + 1]);
        let rest: Vec<_> = (0..200).flat_map(|n| asks(n * 10)).collect();
        let mut answers: Vec<_> = rest.iter().map(|n| (*n, gather.ask(*n))).collect();
        // Whoever is gone is not asked for, and does not keep others from their answers.
        answers.remove(1_000);
        answers.remove(500);
        gather.sender.may.add_permits(10);
        assert_eq!(first.await, Ok(2));
        for (n, answer) in answers {
            assert_eq!(answer.await, Ok(n * 2));
        }
        assert_eq!(*gather.sender.sent.lock().unwrap(), [1, 127, 128, 128, 16]);
    }

    #[test]
    fn who_waits_is_told_where_the_runtime_ends() {
        let gather = doubles::<1>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (one, two) = runtime.block_on(async {
            let asked = (gather.ask(1), gather.ask(2));
            tokio::task::yield_now().await;
            asked
        });
        drop(runtime);
        let other = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        other.block_on(async {
            assert!(one.await.is_err() && two.await.is_err());
            gather.sender.may.add_permits(1);
            assert_eq!(gather.ask(3).await, Ok(6));
        });
    }
}
