//! Plans as text: a world, a wish, and what follows.

use std::collections::BTreeSet;

use crate::desired::{Dependency, Desired, Image, Network, Service, Volume};
use crate::error::PlanError;
use crate::graph::Plan;
use crate::observed::{Hashes, Health, Mount, State};
use crate::op::Condition;
use crate::simulated::World;
use crate::up::{Recreate, Up, up};

pub(crate) fn hashes(text: &str) -> Hashes {
    Hashes {
        own: Some(text.into()),
        compose: Some(format!("c-{text}")),
    }
}

pub(crate) fn service(needs: &[(&str, Condition)]) -> Service {
    Service {
        hashes: hashes("1"),
        scale: 1,
        image: Image {
            reference: "app".into(),
            local: Some("sha256:app".into()),
            pull: true,
            ..Image::default()
        },
        networks: vec!["default".into()],
        depends_on: needs
            .iter()
            .map(|(service, condition)| Dependency {
                service: (*service).into(),
                condition: *condition,
                restart: false,
                required: true,
            })
            .collect(),
        ..Service::default()
    }
}

/// `web` waits for a healthy `db` that keeps its data in a volume.
pub(crate) fn shop() -> Desired {
    let mut db = service(&[]);
    db.volumes = vec!["data".into()];
    db.healthcheck = Some(true);
    let web = service(&[("db", Condition::Healthy)]);
    let network = Network {
        name: "shop_default".into(),
        hashes: hashes("n"),
        ..Network::default()
    };
    let volume = Volume {
        name: "shop_data".into(),
        hashes: hashes("v"),
        ..Volume::default()
    };
    Desired {
        project: "shop".into(),
        services: [("web".into(), web), ("db".into(), db)]
            .into_iter()
            .collect(),
        disabled: BTreeSet::new(),
        networks: [("default".into(), network)].into_iter().collect(),
        volumes: [("data".into(), volume)].into_iter().collect(),
    }
}

pub(crate) fn running(desired: &Desired) -> World {
    let mut world = World::default();
    let plan = up(desired, &world.observed, &Up::default()).unwrap();
    world.apply(desired, &plan);
    world
}

fn plan(desired: &Desired, world: &World, choices: &Up) -> Plan {
    up(desired, &world.observed, choices).unwrap()
}

pub(crate) fn is(plan: &Plan, expected: &str) {
    let expected: String = expected
        .trim()
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    assert_eq!(plan.to_string(), expected);
}

#[test]
fn a_first_up_makes_everything_and_waits_for_health() {
    is(
        &plan(&shop(), &World::default(), &Up::default()),
        "[] -> #1 network:default, create, not found
         [] -> #2 volume:data, create, not found
         [1,2] -> #3 service:db:1, create, not found
         [1] -> #4 service:web:1, create, not found
         [3] -> #5 service:db:1, start, new
         [5] -> #6 service:db, wait healthy, `web` depends on it
         [4,6] -> #7 service:web:1, start, new",
    );
}

#[test]
fn a_second_up_does_nothing() {
    let desired = shop();
    let world = running(&desired);
    assert!(plan(&desired, &world, &Up::default()).is_empty());
    let choices = Up {
        wait: true,
        remove_orphans: true,
        ..Up::default()
    };
    assert!(plan(&desired, &world, &choices).is_empty());
}

#[test]
fn a_missing_image_is_pulled_once() {
    let mut desired = shop();
    for service in desired.services.values_mut() {
        service.image.local = None;
    }
    let plan = plan(&desired, &World::default(), &Up::default());
    assert_eq!(plan.to_string().matches("image:app, pull").count(), 1);
    assert!(
        plan.to_string()
            .contains("[1] -> #2 network:default, create")
    );
    assert!(
        plan.to_string()
            .contains("[2,3] -> #4 service:db:1, create")
    );
    desired.services["db"].image.pull = false;
    let refused = up(&desired, &World::default().observed, &Up::default());
    assert!(matches!(refused, Err(PlanError::ImageMissing { service, .. }) if service == "db"));
}

#[test]
fn a_changed_service_is_replaced_and_nothing_else() {
    let mut desired = shop();
    let world = running(&desired);
    desired.services["web"].hashes = hashes("2");
    is(
        &plan(&desired, &world, &Up::default()),
        "[] -> #1 service:web:1, create as 000000000003_shop-web-1, configuration changed [recreate:web:1]
         [1] -> #2 service:web:1, stop, replaced by #1 [recreate:web:1]
         [1,2] -> #3 service:web:1, remove, replaced by #1 [recreate:web:1]
         [3] -> #4 service:web:1, rename to shop-web-1, takes the place of #3 [recreate:web:1]
         [4] -> #5 service:web:1, start, replaced",
    );
}

#[test]
fn a_changed_dependency_leaves_its_dependent_alone_unless_it_asked() {
    let mut desired = shop();
    let world = running(&desired);
    desired.services["db"].hashes = hashes("2");
    assert!(
        !plan(&desired, &world, &Up::default())
            .to_string()
            .contains("service:web")
    );
    desired.services["web"].depends_on[0].restart = true;
    is(
        &plan(&desired, &world, &Up::default()),
        "[] -> #1 service:db:1, create as 000000000002_shop-db-1, configuration changed [recreate:db:1]
         [1] -> #2 service:web:1, stop, restarts with `db`
         [1,2] -> #3 service:db:1, stop, replaced by #1 [recreate:db:1]
         [1,3] -> #4 service:db:1, remove, replaced by #1 [recreate:db:1]
         [4] -> #5 service:db:1, rename to shop-db-1, takes the place of #4 [recreate:db:1]
         [5] -> #6 service:db:1, start, replaced
         [6] -> #7 service:db, wait healthy, `web` depends on it
         [2,7] -> #8 service:web:1, start, was running",
    );
}

#[test]
fn a_new_image_under_the_same_name_replaces() {
    let mut desired = shop();
    let world = running(&desired);
    desired.services["web"].image.local = Some("sha256:newer".into());
    assert!(
        plan(&desired, &world, &Up::default())
            .to_string()
            .contains("image `app` changed sha256:app → sha256:newer")
    );
}

#[test]
fn force_and_never_apply_to_the_named_services() {
    let mut desired = shop();
    let world = running(&desired);
    let named = vec!["web".to_owned()];
    let force = Up {
        services: named.clone(),
        recreate: Recreate::Force,
        ..Up::default()
    };
    let text = plan(&desired, &world, &force).to_string();
    assert!(text.contains("service:web:1, create as") && !text.contains("service:db"));
    desired.services["web"].hashes = hashes("2");
    let never = Up {
        services: named,
        recreate: Recreate::Never,
        ..Up::default()
    };
    assert!(plan(&desired, &world, &never).is_empty());
}

#[test]
fn no_deps_starts_the_named_service_alone() {
    let choices = Up {
        services: vec!["web".into()],
        no_deps: true,
        ..Up::default()
    };
    is(
        &plan(&shop(), &World::default(), &choices),
        "[] -> #1 network:default, create, not found
         [1] -> #2 service:web:1, create, not found
         [2] -> #3 service:web:1, start, new",
    );
}

#[test]
fn scaling_adds_above_the_highest_and_drops_the_outdated_first() {
    let mut desired = shop();
    desired.services["web"].scale = 3;
    let mut world = running(&desired);
    world.container("shop-web-1").hashes = hashes("old");
    desired.services["web"].scale = 2;
    is(
        &plan(&desired, &world, &Up::default()),
        "[] -> #1 service:web:1, stop, beyond the scale of 2
         [1] -> #2 service:web:1, remove with anonymous volumes, beyond the scale of 2",
    );
    let less = plan(&desired, &world, &Up::default());
    world.apply(&desired, &less);
    desired.services["web"].scale = 3;
    let more = plan(&desired, &world, &Up::default()).to_string();
    assert!(more.contains("service:web:4, create, not found"), "{more}");
    desired.services["web"].scale = 0;
    let none = plan(&desired, &world, &Up::default());
    world.apply(&desired, &none);
    assert!(world.observed.replicas("web").is_empty());
}

#[test]
fn a_changed_network_keeps_the_containers() {
    let mut desired = shop();
    let world = running(&desired);
    desired.networks["default"].hashes = hashes("n2");
    let text = plan(&desired, &world, &Up::default()).to_string();
    let expected = "network:default, remove, configuration changed";
    assert!(
        text.contains(expected) && text.contains("connect to default"),
        "{text}"
    );
    assert!(!text.contains("service:db:1, remove"), "{text}");
}

#[test]
fn a_renamed_network_takes_everybody_along_and_goes() {
    let mut desired = shop();
    let world = running(&desired);
    desired.networks["default"].name = "edge".into();
    let text = plan(&desired, &world, &Up::default()).to_string();
    assert!(
        text.starts_with("[] -> #1 network:default, create, renamed from shop_default"),
        "{text}"
    );
    assert!(text.contains("not attached to network `edge`"), "{text}");
    assert!(
        text.contains("network:default, remove, renamed, see #1"),
        "{text}"
    );
}

#[test]
fn a_changed_volume_is_kept_unless_its_loss_was_agreed_to() {
    let mut desired = shop();
    let world = running(&desired);
    desired.volumes["data"].hashes = hashes("v2");
    let kept = plan(&desired, &world, &Up::default());
    assert!(kept.is_empty() && kept.warnings()[0].contains("shop_data"));
    let lost = plan(
        &desired,
        &world,
        &Up {
            replace_volumes: true,
            ..Up::default()
        },
    );
    is(
        &lost,
        "[] -> #1 service:db:1, stop, configuration of volume `data` changed
         [1] -> #2 service:db:1, remove, configuration of volume `data` changed
         [2] -> #3 volume:data, remove, configuration changed
         [3] -> #4 volume:data, create, replaces #3
         [2,4] -> #5 service:db:1, create, configuration of volume `data` changed
         [5] -> #6 service:db:1, start, replaced",
    );
}

#[test]
fn anonymous_volumes_move_on_unless_they_are_renewed() {
    let mut desired = shop();
    let mut world = running(&desired);
    let mount = |target: &str| Mount {
        volume: format!("anonymous{target}"),
        target: target.into(),
        anonymous: true,
    };
    world.container("shop-web-1").mounts = vec![mount("/cache"), mount("/own")];
    desired.services["web"].hashes = hashes("2");
    desired.services["web"].targets = vec!["/own".into()];
    let inherited = |choices: &Up| -> Vec<String> {
        let plan = plan(&desired, &world, choices);
        let found = plan.steps().find_map(|step| match &step.node.op {
            crate::Op::Create { inherit, .. } => {
                Some(inherit.iter().map(|from| from.target.clone()).collect())
            }
            _ => None,
        });
        found.unwrap_or_default()
    };
    assert_eq!(inherited(&Up::default()), ["/cache"]);
    let named = vec!["web".to_owned()];
    let renewed = Up {
        services: named,
        renew_anonymous_volumes: true,
        ..Up::default()
    };
    assert!(inherited(&renewed).is_empty());
}

#[test]
fn orphans_are_named_and_removed_on_request() {
    let mut desired = shop();
    let world = running(&desired);
    desired.services.shift_remove("web");
    let kept = plan(&desired, &world, &Up::default());
    assert!(kept.is_empty() && kept.warnings()[0].contains("`shop-web-1`"));
    is(
        &plan(
            &desired,
            &world,
            &Up {
                remove_orphans: true,
                ..Up::default()
            },
        ),
        "[] -> #1 service:web:1, stop, the project has no service `web`
         [1] -> #2 service:web:1, remove, the project has no service `web`",
    );
    desired.disabled.insert("web".into());
    assert!(plan(&desired, &world, &Up::default()).warnings().is_empty());
}

#[test]
fn what_a_cut_short_recreation_left_is_cleared_up() {
    let mut desired = shop();
    let world = running(&desired);
    desired.services["web"].hashes = hashes("2");
    let recreation = plan(&desired, &world, &Up::default());
    for done in 1..recreation.len() {
        let mut cut = world.clone();
        let kept: Vec<_> = recreation
            .steps()
            .take(done)
            .map(|step| step.node.clone())
            .collect();
        let mut part = Plan::default();
        for node in kept {
            part.add([], node.op, node.cause);
        }
        cut.apply(&desired, &part);
        let repair = plan(&desired, &cut, &Up::default());
        cut.apply(&desired, &repair);
        let again = plan(&desired, &cut, &Up::default());
        assert!(again.is_empty(), "after {done} steps:\n{again}");
        let replicas = cut.observed.replicas("web");
        assert_eq!(replicas.len(), 1);
        assert_eq!(replicas[0].name, "shop-web-1");
        assert_eq!(replicas[0].state, State::Running);
    }
}

#[test]
fn a_job_that_ended_well_is_not_run_again() {
    let mut desired = shop();
    desired
        .services
        .insert("migrate".into(), service(&[("db", Condition::Healthy)]));
    desired.services["web"] = service(&[("migrate", Condition::Completed)]);
    let mut world = running(&desired);
    assert_eq!(world.container("shop-migrate-1").state, State::Exited(0));
    assert!(plan(&desired, &world, &Up::default()).is_empty());
    world.container("shop-migrate-1").state = State::Exited(3);
    is(
        &plan(&desired, &world, &Up::default()),
        "[] -> #1 service:migrate:1, start, exited with code 3",
    );
}

#[test]
fn what_shares_a_namespace_follows_its_parent() {
    let mut desired = shop();
    let mut side = service(&[("db", Condition::Started)]);
    side.networks = Vec::new();
    side.joins = vec!["db".into()];
    desired.services.insert("side".into(), side);
    let mut world = running(&desired);
    assert!(plan(&desired, &world, &Up::default()).is_empty());
    desired.services["db"].hashes = hashes("2");
    let next = plan(&desired, &world, &Up::default());
    assert!(
        next.to_string()
            .contains("shares with `db`, which is replaced"),
        "{next}"
    );
    world.apply(&desired, &next);
    assert!(plan(&desired, &world, &Up::default()).is_empty());
    world.container("shop-side-1").joins = vec!["gone".into()];
    let text = plan(&desired, &world, &Up::default()).to_string();
    assert!(
        text.contains("the container it shares with is gone"),
        "{text}"
    );
}

#[test]
fn compose_made_containers_are_compared_by_composes_hash() {
    let desired = shop();
    let mut world = running(&desired);
    world.container("shop-web-1").hashes = Hashes {
        own: None,
        compose: Some("c-1".into()),
    };
    assert!(plan(&desired, &world, &Up::default()).is_empty());
    world.container("shop-web-1").hashes = Hashes {
        own: None,
        compose: Some("other".into()),
    };
    assert!(!plan(&desired, &world, &Up::default()).is_empty());
}

#[test]
fn waiting_covers_what_is_not_ready_yet() {
    let desired = shop();
    let mut world = running(&desired);
    world.container("shop-db-1").health = Health::Starting;
    assert!(plan(&desired, &world, &Up::default()).is_empty());
    is(
        &plan(
            &desired,
            &world,
            &Up {
                wait: true,
                ..Up::default()
            },
        ),
        "[] -> #1 service:db, wait ready, `--wait`",
    );
}

#[test]
fn impossible_wishes_are_refused() {
    let refuse = |change: &dyn Fn(&mut Desired)| {
        let mut desired = shop();
        change(&mut desired);
        up(&desired, &World::default().observed, &Up::default())
            .unwrap_err()
            .to_string()
    };
    let cycle = refuse(&|desired| desired.services["db"] = service(&[("web", Condition::Started)]));
    assert_eq!(cycle, "dependency cycle: db -> web -> db");
    let external = refuse(&|desired| desired.networks["default"].external = true);
    assert!(external.contains("external"), "{external}");
    let health = refuse(&|desired| desired.services["db"].healthcheck = Some(false));
    assert!(health.contains("no healthcheck"), "{health}");
    let name = refuse(&|desired| {
        for service in desired.services.values_mut() {
            service.container_name = Some("same".into());
        }
    });
    assert!(name.contains("both want"), "{name}");
    let choices = Up {
        services: vec!["wep".into()],
        ..Up::default()
    };
    let unknown = up(&shop(), &World::default().observed, &choices).unwrap_err();
    assert_eq!(
        unknown,
        PlanError::NoSuchService {
            service: "wep".into(),
            similar: Some("web".into())
        }
    );
}

#[test]
fn what_surrounds_a_service_is_made_without_it() {
    let desired = shop();
    let around = Up {
        services: vec!["web".into()],
        around: true,
        ..Up::default()
    };
    is(
        &plan(&desired, &World::default(), &around),
        "[] -> #1 network:default, create, not found
         [] -> #2 volume:data, create, not found
         [1,2] -> #3 service:db:1, create, not found
         [3] -> #4 service:db:1, start, new
         [4] -> #5 service:db, wait healthy, `web` depends on it",
    );
    assert!(plan(&desired, &running(&desired), &around).is_empty());
}
