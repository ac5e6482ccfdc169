use super::*;

fn two_runs(second: &[&str]) -> Graph {
    let mut plan = Plan::default();
    let base = plan.scratch();
    let one = plan.run(base, &["write", "/a", "1"]);
    let two = plan.run(one, second);
    plan.target(two)
}

fn ingested(world: &World) -> usize {
    fs::read_dir(world.dir.path().join("images/ingest"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn a_build_makes_an_image_and_the_same_build_makes_the_same() {
    let world = world();
    let first = world.build(two_runs(&["write", "/b", "2"])).await;
    assert_eq!(world.tree(first.id()), ["/a 644 1", "/b 644 2"]);
    assert_eq!(first.counts(), (0, 2));
    let image = world.store.get("app").unwrap();
    assert_eq!(image.diff_ids.len(), 2);
    assert_eq!(image.history[1].created_by, "RUN write /b 2");
    assert!(image.created.is_some());
    let second = world.build(two_runs(&["write", "/b", "2"])).await;
    assert_eq!(second.id(), first.id());
    assert_eq!(second.counts(), (2, 0));
    assert_eq!(world.ran(), 2);
}

#[tokio::test]
async fn a_changed_command_is_done_again_and_says_so() {
    let world = world();
    world.build(two_runs(&["write", "/b", "2"])).await;
    let changed = world.build(two_runs(&["write", "/b", "3"])).await;
    assert_eq!(changed.counts(), (1, 1));
    assert_eq!(changed.reasons(), ["RUN: command changed"]);
    assert_eq!(world.tree(changed.id()), ["/a 644 1", "/b 644 3"]);
}

#[tokio::test]
async fn a_step_that_changes_nothing_makes_an_empty_layer() {
    let world = world();
    let built = world.build(two_runs(&["say", "hello"])).await;
    let image = world.store.get(&built.id().to_string()).unwrap();
    assert_eq!(
        image.diff_ids[1],
        Digest::of(&[0; 1024]),
        "as with the stock builder"
    );
    let empty: Vec<bool> = image.history.iter().map(|line| line.empty_layer).collect();
    assert_eq!(empty, [false, false]);
    let again = world.build(two_runs(&["say", "hello"])).await;
    assert_eq!((again.id(), again.counts()), (built.id(), (2, 0)));
}

#[tokio::test]
async fn a_failed_step_keeps_its_files_for_a_look_and_poisons_nothing() {
    let world = world();
    let failed = world.build(two_runs(&["exit", "3"])).await;
    let Err(BuildError::Step(failed)) = failed.result else {
        panic!("it must fail");
    };
    let lines = vec!["about to fail".to_owned()];
    assert_eq!((failed.exit, failed.output), (Some(3), lines));
    let state = failed.state.unwrap();
    assert!(state.step.rootfs.upper.is_dir());
    drop(state);
    assert_eq!(ingested(&world), 0);
    assert!(world.store.get("app").is_err());
    // What was done before stays done; what failed is tried again.
    let again = world.build(two_runs(&["exit", "3"])).await;
    assert_eq!(again.counts(), (1, 1));
}

#[tokio::test]
async fn a_cancelled_build_ends_its_steps_and_leaves_nothing() {
    let world = world();
    let (events, mut reader) = Events::channel(SystemTime::now);
    let (canceller, cancel) = Canceller::new();
    let graph = two_runs(&["wait"]);
    let build = tokio::spawn({
        let (builder, inputs) = (world.builder.clone(), world.inputs());
        async move { builder.solve(graph, inputs, events, cancel).await }
    });
    let mut started = 0;
    while started < 2 {
        if let EventKind::Started { .. } = reader.recv().await.unwrap().kind {
            started += 1;
        }
    }
    while world.ran() < 2 {
        tokio::task::yield_now().await;
    }
    canceller.cancel();
    assert!(matches!(build.await.unwrap(), Err(BuildError::Cancelled)));
    assert_eq!(ingested(&world), 0);
    let again = world.build(two_runs(&["say", "x"])).await;
    assert_eq!(again.counts(), (1, 1), "the step before was kept");
}

#[tokio::test]
async fn a_failure_ends_what_runs_beside_it() {
    let world = world();
    let mut plan = Plan::default();
    let base = plan.scratch();
    let endless = plan.run(base, &["wait"]);
    let fails = plan.run(base, &["exit", "4"]);
    let copy = plan.copy(fails, copying(vec![from(endless, "/x")], "/x"));
    let failed = world.build(plan.target(copy)).await;
    let Err(BuildError::Step(failed)) = failed.result else {
        panic!("it must fail");
    };
    assert_eq!(failed.exit, Some(4));
    drop(failed);
    assert_eq!(ingested(&world), 0);
}

#[tokio::test]
async fn equal_steps_of_builds_at_the_same_time_are_done_once() {
    let world = world();
    let builds: Vec<_> = (0..4)
        .map(|_| {
            let (builder, inputs) = (world.builder.clone(), world.inputs());
            let (events, _) = Events::channel(SystemTime::now);
            tokio::spawn(async move {
                let (_canceller, cancel) = Canceller::new();
                let graph = two_runs(&["write", "/b", "2"]);
                builder.solve(graph, inputs, events, cancel).await
            })
        })
        .collect();
    let mut ids = Vec::new();
    for build in builds {
        ids.push(build.await.unwrap().unwrap().remove(0).id);
    }
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(world.ran(), 2);
}

#[tokio::test]
async fn nothing_is_done_for_a_stage_that_nobody_needs() {
    let world = world();
    let mut plan = Plan::default();
    let base = plan.scratch();
    plan.run(base, &["exit", "1"]);
    plan.steps.clear();
    let wanted = plan.run(base, &["write", "/a", "1"]);
    let built = world.build(plan.target(wanted)).await;
    assert_eq!(world.tree(built.id()), ["/a 644 1"]);
    assert_eq!(world.ran(), 1);
}

#[tokio::test]
async fn no_cache_does_it_again_and_what_stands_on_it_sees_the_new_result() {
    let world = world();
    let graph = |no_cache| {
        let mut graph = two_runs(&["write", "/b", "2"]);
        graph.vertices[1].no_cache = no_cache;
        graph
    };
    world.build(graph(false)).await;
    // Times in layers are whole seconds; within one the new result equals the old.
    let again = world.build(graph(true)).await;
    assert!(again.counts().1 >= 1);
    assert_eq!(world.build(graph(false)).await.id(), again.id());
}

#[tokio::test]
async fn mounts_are_handed_over_and_their_places_vanish() {
    let world = world();
    world.put("src/main.c", "int main;");
    let mut plan = Plan::default();
    let base = plan.scratch();
    let context = plan.context();
    let mount = |target: &str, kind| Mount {
        target: target.to_owned(),
        readonly: true,
        kind,
    };
    let secret = MountKind::Secret {
        id: "key".to_owned(),
        env: Some("KEY".to_owned()),
        required: true,
        mode: 0o400,
        uid: 0,
        gid: 0,
    };
    let cache = MountKind::Cache {
        id: "/cache".to_owned(),
        sharing: Sharing::Shared,
        from: None,
        source: "/".to_owned(),
        mode: 0o750,
        uid: 7,
        gid: 8,
    };
    let bind = MountKind::Bind {
        from: context,
        source: "/src".to_owned(),
    };
    let run = Run {
        mounts: vec![
            mount("/run/secrets/key", secret),
            mount("/cache", cache),
            mount("/src", bind),
        ],
        ..run(base, &["write", "/a", "1"])
    };
    let step = plan.add(Op::Run(Box::new(run)), "RUN x");
    let graph = plan.target(step);
    let missing = world.build(graph.clone()).await;
    assert!(matches!(
        missing.result,
        Err(BuildError::Step(failed)) if matches!(failed.source, StepError::Secret(_))
    ));
    let mut inputs = world.inputs();
    inputs
        .secrets
        .insert("key".to_owned(), (&b"one"[..]).into());
    let built = world.build_with(graph.clone(), inputs.clone()).await;
    assert_eq!(world.tree(built.id()), ["/a 644 1"]);
    let step = guard(&world.runner.steps)[0].clone();
    assert_eq!(step.secret_env[0].0, "KEY");
    for mount in &step.mounts {
        match &mount.kind {
            RunMountKind::Tree { lowers, source, .. } => {
                assert_eq!(source, Path::new("src"));
                let text = fs::read_to_string(lowers[0].join("src/main.c")).unwrap();
                assert_eq!(text, "int main;");
            }
            RunMountKind::Directory { path } => {
                let stat = fs::metadata(path).unwrap();
                assert_eq!(
                    (stat.mode() & 0o7777, stat.uid(), stat.gid()),
                    (0o750, 7, 8)
                );
            }
            RunMountKind::File { contents, .. } => assert_eq!(&*contents.0, b"one"),
            other => panic!("{other:?}"),
        }
    }
    // A secret's contents are no part of the key; what is seen through a mount is.
    inputs
        .secrets
        .insert("key".to_owned(), (&b"two"[..]).into());
    let again = world.build_with(graph.clone(), inputs.clone()).await;
    assert_eq!(again.counts().1, 0);
    world.put("src/main.c", "int main();");
    assert_eq!(world.build_with(graph, inputs).await.counts().1, 1);
    assert_eq!(world.builder.cache_mounts()[0].uses, 3);
}
