//! The device that answers first is the one that is switched and read back, also where nobody said which to expect.

use super::*;

async fn off(device: &Scripted) -> Result<Confirmation> {
    let policy = Policy {
        expect_identity: None,
        ..strict()
    };
    let deadline = Deadline::after(Duration::from_secs(5));
    device.off_confirmed(&policy, deadline, &()).await
}

#[tokio::test(start_paused = true)]
async fn an_off_that_another_device_shows_is_not_confirmed() {
    // Connected, looked, switched; connected anew, and somebody else says off.
    let mut steps = vec![Step::Honest; 4];
    steps.push(Step::Stranger);
    let device = Scripted::new(Readback::NewConnection, steps);
    let error = off(&device).await.unwrap_err();
    assert!(matches!(error, Error::NotConfirmed { .. }), "{error}");
    assert!(error.to_string().contains("ff:ff answers instead of"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_uptime_beyond_measure_is_no_panic() {
    let device = Scripted::new(Readback::NewConnection, []);
    device.model.lock().unwrap().uptime = u64::MAX - 100;
    off(&device).await.unwrap();
}
