use super::*;

struct Sample;
impl JobKind for Sample {
    type Order = String;
    type Outcome = u64;
    type Local = Option<u8>;
    const MAX_OPEN: usize = 8;
    const MAX_ENDED: usize = 2;
}

fn jobs() -> Jobs<Sample> {
    Jobs::in_memory()
}

async fn run(
    jobs: &Jobs<Sample>,
    work: impl Future<Output = Result<u64, String>> + Send + 'static,
) -> Result<JobNumber, JobError> {
    jobs.run("work".to_owned(), |_| work).await
}

#[tokio::test(start_paused = true)]
async fn a_job_continues_while_a_client_asks_for_it() {
    let jobs = jobs();
    let work = |reporter: ProgressReporter| async move {
        reporter.report(3, Some(9));
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(7)
    };
    let job = jobs.run("work".to_owned(), work).await.unwrap();
    let progress = Progress { done: 3, total: Some(9) };
    assert_eq!(jobs.wait(job).await.unwrap(), JobStatus { job, progress, state: JobState::Running });
    let mut asked = 0;
    while jobs.wait(job).await.unwrap().state != JobState::Done(7) {
        asked += 1;
    }
    assert!((100..300).contains(&asked), "{asked}");
    tokio::time::sleep(UNATTENDED + Duration::from_secs(1)).await;
    assert!(
        matches!(jobs.wait(job).await, Err(JobError::Unknown(_))),
        "the result of a job is removed when no client asks for it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_no_client_asks_for_is_aborted() {
    let jobs = jobs();
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let job = run(&jobs, async move {
        let _held = held;
        std::future::pending().await
    });
    let job = job.await.unwrap();
    let before = Instant::now();
    assert!(dropped.await.is_err());
    assert_eq!(before.elapsed().as_secs(), UNATTENDED.as_secs());
    tokio::task::yield_now().await;
    assert!(jobs.wait(job).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_at_once() {
    let jobs = jobs();
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let job = run(&jobs, async move {
        let _held = held;
        std::future::pending().await
    });
    let job = job.await.unwrap();
    let before = Instant::now();
    assert_eq!(jobs.cancel(|number, _| number == job).await.unwrap().len(), 1);
    assert!(dropped.await.is_err());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_open_jobs_is_bounded() {
    let jobs = jobs();
    for _ in 0..Sample::MAX_OPEN {
        run(&jobs, std::future::pending()).await.unwrap();
    }
    let refused = run(&jobs, std::future::pending()).await;
    assert!(matches!(refused, Err(JobError::TooMany(8))));
}

#[tokio::test]
async fn the_same_order_gives_one_job_and_old_results_are_removed() {
    let jobs = jobs();
    let same = |text: &'static str| move |order: &String| order == text;
    let first = jobs.order("a".to_owned(), same("a")).await.unwrap();
    assert_eq!(jobs.order("a".to_owned(), same("a")).await.unwrap(), first);
    let mut numbers = vec![first];
    for text in ["b", "c"] {
        numbers.push(jobs.order(text.to_owned(), |_| false).await.unwrap());
    }
    for number in &numbers {
        jobs.end(*number, JobEnd::Done(1)).await.unwrap();
    }
    assert_eq!(jobs.items().keys().copied().collect::<Vec<_>>(), numbers[1..]);
}
