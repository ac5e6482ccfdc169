//! The cache is never stale: a build after any change equals one that knows nothing.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// A change to a context.
#[derive(Clone, Debug)]
enum Edit {
    Write(usize, String),
    Chmod(usize, u32),
    Remove(usize),
    Link(usize, usize),
    Hard(usize, usize),
    Rename(usize, usize),
    /// Same length, and the old time put back.
    Sneak(usize, char),
}

const NAMES: [&str; 6] = ["a", "b", "d/a", "d/e/f", "d/e/g", "x.log"];

fn edit() -> impl Strategy<Value = Edit> {
    let name = || 0..NAMES.len();
    let mode = prop::sample::select(vec![0o644_u32, 0o755, 0o600]);
    prop_oneof![
        (name(), "[a-z]{0,5}").prop_map(|(name, text)| Edit::Write(name, text)),
        (name(), mode).prop_map(|(name, mode)| Edit::Chmod(name, mode)),
        name().prop_map(Edit::Remove),
        (name(), name()).prop_map(|(name, target)| Edit::Link(name, target)),
        (name(), name()).prop_map(|(name, target)| Edit::Hard(name, target)),
        (name(), name()).prop_map(|(name, target)| Edit::Rename(name, target)),
        (name(), proptest::char::range('a', 'z'))
            .prop_map(|(name, letter)| Edit::Sneak(name, letter)),
    ]
}

fn apply(context: &Path, edit: &Edit) {
    let path = |name: usize| context.join(NAMES[name]);
    let made = |name: usize| {
        let path = path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(fs::remove_file(&path));
        path
    };
    let done = match edit {
        Edit::Write(name, text) => fs::write(made(*name), text),
        Edit::Chmod(name, mode) if path(*name).exists() => {
            fs::set_permissions(path(*name), fs::Permissions::from_mode(*mode))
        }
        Edit::Remove(name) => fs::remove_file(path(*name)),
        Edit::Link(name, target) => symlink(NAMES[*target], made(*name)),
        Edit::Hard(name, target) if name != target => fs::hard_link(path(*target), made(*name)),
        Edit::Rename(name, target) if name != target => fs::rename(path(*name), made(*target)),
        Edit::Sneak(name, letter) => sneak(&path(*name), *letter),
        _ => Ok(()),
    };
    // Most edits of what is not there do nothing, as a person's would.
    drop(done);
}

fn sneak(path: &Path, letter: char) -> std::io::Result<()> {
    let stat = fs::symlink_metadata(path)?;
    if stat.is_file() && stat.len() > 0 {
        let length = usize::try_from(stat.len()).unwrap();
        fs::write(path, letter.to_string().repeat(length))?;
        let times = fs::FileTimes::new().set_modified(stat.modified()?);
        fs::File::open(path)?.set_times(times)?;
    }
    Ok(())
}

fn graph() -> Graph {
    let mut plan = Plan::default();
    let base = plan.scratch();
    let context = plan.context();
    let wild = vec![from(context, "/*a"), from(context, "/b*")];
    let one = plan.copy(base, copying(wild, "/one/"));
    let two = plan.copy(one, copying(vec![from(context, "/")], "/two"));
    let three = plan.run(two, &["write", "/three", "3"]);
    let four = plan.copy(three, copying(vec![from(two, "/two/d*")], "/four/"));
    plan.target(four)
}

fn ignoring(world: &World, context: &Path) -> Inputs {
    let mut inputs = world.inputs();
    for folder in inputs.contexts.values_mut() {
        folder.ignore = Some(Ignore::parse("*.log\n").unwrap());
        folder.path = context.to_owned();
    }
    inputs
}

async fn rounds(all: Vec<Vec<Edit>>) -> Result<(), TestCaseError> {
    let warm = world();
    fs::create_dir_all(warm.context().join("d/e")).unwrap();
    for round in &all {
        for edit in round {
            apply(&warm.context(), edit);
        }
        let inputs = ignoring(&warm, &warm.context());
        let built = warm.build_with(graph(), inputs).await;
        let cold = world();
        let inputs = ignoring(&cold, &warm.context());
        let fresh = cold.build_with(graph(), inputs).await;
        match (&built.result, &fresh.result) {
            (Ok(_), Ok(_)) => prop_assert_eq!(warm.tree(built.id()), cold.tree(fresh.id())),
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "{:?} but {:?}", built.result, fresh.result),
        }
    }
    Ok(())
}

#[test]
fn a_build_after_any_edit_equals_a_cold_build() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let edits = prop::collection::vec(prop::collection::vec(edit(), 1..4), 1..5);
    let result = TestRunner::new(config).run(&edits, |all| runtime.block_on(rounds(all)));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test]
async fn changes_are_told_file_by_file() {
    let world = world();
    world.put("src/app.py", "1");
    world.put("src/run.sh", "2");
    let graph = || copy_graph("/src", "/app", |_| {});
    let first = world.build(graph()).await;
    assert_eq!(first.reasons(), ["it was never done before"]);
    world.put("src/app.py", "one");
    let script = world.context().join("src/run.sh");
    fs::set_permissions(script, fs::Permissions::from_mode(0o664)).unwrap();
    let second = world.build(graph()).await;
    let told = ["COPY: src/app.py content, src/run.sh mode 644→664"];
    assert_eq!(second.reasons(), told);
}

#[tokio::test]
async fn times_and_owners_of_a_context_do_not_count() {
    let world = world();
    world.put("a", "1");
    let graph = || copy_graph("/a", "/b", |_| {});
    let first = world.build(graph()).await;
    let path = world.context().join("a");
    std::os::unix::fs::chown(&path, Some(1000), Some(1000)).unwrap();
    let times = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    fs::File::open(path).unwrap().set_times(times).unwrap();
    let second = world.build(graph()).await;
    assert_eq!((second.id(), second.counts().1), (first.id(), 0));
}

#[tokio::test]
async fn what_was_pruned_is_built_again() {
    let world = world();
    world.put("a", "1");
    let graph = || copy_graph("/a", "/b", |_| {});
    world.build(graph()).await;
    world.store.remove("app", true, &|_| None).unwrap();
    let wish = bowline_image::PruneBuilds {
        all: true,
        ..Default::default()
    };
    let pruned = world.builder.prune(&wish, &|_| true).unwrap();
    assert_eq!((pruned.removed.len(), pruned.reclaimed), (1, 1));
    let again = world.build(graph()).await;
    assert_eq!(again.reasons(), ["its result is not in the cache any more"]);
    assert_eq!(world.tree(again.id()), ["/b 644 1"]);
}
