//! Who is switched and read back: whom the user expects, and, where nobody said whom, whoever answered first.

use super::*;

async fn off_of_anybody(device: &Scripted) -> Result<Confirmation> {
    let policy = Policy {
        expect_identity: None,
        ..strict()
    };
    let deadline = Deadline::after(Duration::from_secs(5));
    device.off_confirmed(&policy, deadline, &()).await
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_never_switched() {
    let device = Scripted::new(Readback::NewConnection, [Step::Honest, Step::Stranger]);
    let error = off(&device, &strict()).await.unwrap_err();
    assert!(matches!(error, Error::WrongDevice { .. }), "{error}");
    assert!(!device.trace().iter().any(|step| matches!(step, Trace::Tried(..))));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_after_the_command_is_no_success_and_not_called_unswitched() {
    let script = [
        Step::Honest,
        Step::Honest,
        Step::Honest,
        Step::Honest,
        Step::Stranger,
    ];
    let error = off(&Scripted::new(Readback::NewConnection, script), &strict())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotConfirmed { .. }), "{error}");
    assert!(error.to_string().contains("may have been switched"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_off_that_another_device_shows_is_not_confirmed() {
    // Connected, looked, switched; connected anew, and somebody else says off.
    let mut steps = vec![Step::Honest; 4];
    steps.push(Step::Stranger);
    let device = Scripted::new(Readback::NewConnection, steps);
    let error = off_of_anybody(&device).await.unwrap_err();
    assert!(matches!(error, Error::NotConfirmed { .. }), "{error}");
    assert!(error.to_string().contains("ff:ff answers instead of"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_uptime_beyond_measure_is_no_panic() {
    let device = Scripted::new(Readback::NewConnection, []);
    device.model.lock().unwrap().uptime = u64::MAX - 100;
    off_of_anybody(&device).await.unwrap();
}
