//! Pieces of work that take their time, for clients that look again and again how far they are.

use control::{Answer, Failure, FailureKind, Progress};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The most pieces of work at a time.
const MAX_WORKS: usize = 8;
/// Work at which nobody looks for so long is given up, and forgotten.
const UNATTENDED: Duration = Duration::from_secs(10);
/// How long whoever looks waits for the end at most.
const MOMENT: Duration = Duration::from_millis(300);

/// All of them. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Works(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    last: u64,
    works: BTreeMap<u64, Work>,
}

#[derive(Clone)]
struct Work {
    state: watch::Receiver<State>,
    attended: Arc<Notify>,
}

#[derive(Clone)]
enum State {
    Working(Progress),
    Ended(Result<Answer, Failure>),
}

/// With which a piece of work tells how far it is. A clone is the same.
#[derive(Clone)]
pub(crate) struct Teller(watch::Sender<State>);

impl Teller {
    pub(crate) fn tell(&self, done: u64, total: Option<u64>) {
        self.0.send_replace(State::Working(Progress { done, total }));
    }
}

impl Works {
    /// Begins a piece of work, and gives its number.
    pub(crate) fn begin<F>(&self, work: impl FnOnce(Teller) -> F) -> Result<Answer, Failure>
    where
        F: Future<Output = Result<Answer, Failure>> + Send + 'static,
    {
        let mut table = self.table();
        if table.works.len() >= MAX_WORKS {
            let words = format!("{MAX_WORKS} such orders are being carried out already; try again later");
            return Err(Failure::new(FailureKind::Failed, words));
        }
        table.last += 1;
        let (number, works) = (table.last, self.clone());
        let (told, state) = watch::channel(State::Working(Progress::default()));
        let attended = Arc::new(Notify::new());
        table.works.insert(number, Work { state, attended: attended.clone() });
        let (work, teller) = (work(Teller(told.clone())), Teller(told));
        tokio::spawn(async move {
            tokio::select! {
                ended = work => {
                    teller.0.send_replace(State::Ended(ended));
                    unattended(&attended).await;
                }
                () = unattended(&attended) => {}
            }
            works.table().works.remove(&number);
        });
        Ok(Answer::Begun { work: number })
    }

    /// How far it is, after a moment.
    pub(crate) async fn look(&self, number: u64) -> Result<Answer, Failure> {
        let unknown =
            || Failure::new(FailureKind::Wrong, "there is no such piece of work, or it was given up");
        let Work { mut state, attended } = self.table().works.get(&number).cloned().ok_or_else(unknown)?;
        attended.notify_one();
        let ended = state.wait_for(|state| matches!(state, State::Ended(_)));
        // Whether it ended or time is up: the state tells.
        let _ = tokio::time::timeout(MOMENT, ended).await;
        let state = state.borrow().clone();
        match state {
            State::Working(progress) => Ok(Answer::Working(progress)),
            State::Ended(result) => {
                self.table().works.remove(&number);
                result
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is whole at every moment at which a panic could happen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn unattended(attended: &Notify) {
    while tokio::time::timeout(UNATTENDED, attended.notified()).await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(begun: Result<Answer, Failure>) -> u64 {
        match begun {
            Ok(Answer::Begun { work }) => work,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_while_somebody_looks_and_its_end_is_told_once() {
        let works = Works::default();
        let work = number(works.begin(|teller| async move {
            teller.tell(3, Some(9));
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(Answer::Done {})
        }));
        assert_eq!(works.look(work).await, Ok(Answer::Working(Progress { done: 3, total: Some(9) })));
        let mut looks = 0;
        while works.look(work).await != Ok(Answer::Done {}) {
            looks += 1;
        }
        assert!((100..300).contains(&looks), "{looks}");
        assert_eq!(works.look(work).await.unwrap_err().kind, FailureKind::Wrong);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_looks_at_is_given_up() {
        let works = Works::default();
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let work = number(works.begin(|_| async move {
            let _held = held;
            std::future::pending().await
        }));
        let before = tokio::time::Instant::now();
        assert!(dropped.await.is_err());
        assert_eq!(before.elapsed().as_secs(), UNATTENDED.as_secs());
        tokio::task::yield_now().await;
        assert!(works.look(work).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_not_too_many() {
        let works = Works::default();
        for _ in 0..MAX_WORKS {
            works.begin(|_| std::future::pending()).unwrap();
        }
        assert_eq!(works.begin(|_| std::future::pending()).unwrap_err().kind, FailureKind::Failed);
    }
}
