//! The engine is killed at instants nobody chose.

use std::hash::{BuildHasher as _, RandomState};
use std::thread;
use std::time::Duration;

use bowline_tests::{Running, World, eventually};

use crate::kill::{is_alive, kill};

const PROJECT: &str = r#"
services:
  store:
    image: bowline/demo
    command: count /data/n --port 9000
    volumes: [data:/data, /anonymous]
    healthcheck:
      test: [CMD, /bin/healthy, "http://127.0.0.1:9000/healthy"]
      interval: 200ms
      retries: 30
    networks: [back]
  worker:
    image: bowline/demo
    command: sleep forever
    depends_on: {store: {condition: service_healthy}}
    networks: [back]
    restart: always
  once:
    image: bowline/demo
    command: "true"
    networks: [back]
  web:
    image: bowline/demo
    command: serve --port 8080 --count-via http://store:9000/
    depends_on: {worker: {condition: service_started}, once: {condition: service_completed_successfully}}
    ports: ["127.0.0.1::8080"]
    networks: [front, back]
  side:
    image: bowline/demo
    command: print forever --interval 50
    networks: [front]
networks:
  front:
  back:
volumes:
  data:
"#;

fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect(name))
}

/// xorshift64*: enough for instants, and the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

/// Kills whatever engine is there after a while; then lets the command, whose luck is not ours to know, end.
fn strike(world: &World, command: Running, after: Duration) {
    thread::sleep(after);
    for engine in world.engines() {
        if is_alive(engine) {
            kill(engine);
        }
    }
    drop(command.wait());
}

/// Whenever the engine dies during `up` or `down`: the next command must find a consistent state and be able to go on
/// from there, forwards and backwards, and at the end nothing may be left.
#[test]
fn any_instant_of_up_and_down_may_be_the_engines_last() {
    let seed = setting("BOWLINE_SEED", RandomState::new().hash_one(0) | 1);
    let rounds = setting("BOWLINE_CRASH_ROUNDS", 6);
    eprintln!("BOWLINE_SEED={seed} BOWLINE_CRASH_ROUNDS={rounds}");
    let mut dice = Dice(seed);
    let world = World::new();
    let stack = world.project("stack", PROJECT);
    for round in 0..rounds {
        let revive = [("BOWLINE_REVIVE", if dice.below(2) == 0 { "0" } else { "1" })];
        let (up, down) = (dice.below(1800), dice.below(900));
        eprintln!("round {round}: {revive:?}, killed {up} ms into up, {down} ms into down");
        let start = |arguments: &[&str]| {
            let mut command = stack.command(arguments);
            command.envs(revive);
            Running::start(command)
        };
        strike(&world, start(&["up", "-d"]), Duration::from_millis(up));
        stack.bowline_with(&revive, &["ps", "-a"]).ok();
        // One that was being brought back may still be on its way: the command waits for it, or is it.
        stack.bowline_with(&revive, &["up", "-d", "--wait"]).ok();
        for service in ["store", "worker", "web", "side"] {
            assert_eq!(stack.state(service), "running", "{service}");
        }
        strike(
            &world,
            start(&["down", "-v", "-t", "2"]),
            Duration::from_millis(down),
        );
        stack.bowline_with(&revive, &["down", "-v", "-t", "2"]).ok();
        assert_eq!(world.containers(), Vec::<String>::new());
        eventually(Duration::from_secs(20), || {
            let check = world.bowline(&["system", "check"]);
            if check.code == 0 { Ok(()) } else { Err(check) }
        });
    }
    world.ends_clean();
}
