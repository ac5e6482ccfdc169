//! What is not there is refused in words that a client shows, and leaves nothing behind; what is there works.

use crate::stock::Stock;

/// What the engine cannot do must be said by name, not by a broken connection.
#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    let stock = Stock::with(&[]);
    stock
        .docker(&["swarm", "init"])
        .fails_with(1)
        .says("This node is not a swarm manager");
    stock.ends_clean();
}

/// Files must go into a stopped container and come out of it, as a tar and as they are in an image made of it.
#[test]
fn files_and_images_come_out_of_a_container() {
    let stock = Stock::with(&["busybox"]);
    stock.text(&["create", "--name", "box", "busybox", "true"]);
    let carry = "echo some words >$HOME/carried && docker cp $HOME/carried box:/tmp; code=$?; rm $HOME/carried; exit $code";
    stock.shell(carry).ok();
    stock
        .docker(&["cp", "box:/tmp/carried", "-"])
        .ok()
        .says("some words");
    stock.docker(&["export", "box"]).ok().says("tmp/carried");
    stock.text(&["commit", "-m", "carried", "box", "copy"]);
    let seen = stock.text(&["run", "--rm", "copy", "cat", "/tmp/carried"]);
    assert_eq!(seen.trim(), "some words");
    stock.text(&["rm", "box"]);
    stock.text(&["rmi", "copy"]);
    stock.ends_clean();
}

/// A client that sends its build context before it reads must read the refusal, not find the connection closed.
#[test]
fn a_build_is_refused_after_its_context_was_taken() {
    let stock = Stock::with(&[]);
    let script = "mkdir -p $HOME/context && cd $HOME/context && echo FROM busybox >Dockerfile \
        && head -c 3000000 /dev/urandom >ballast && DOCKER_BUILDKIT=0 docker build --memory 64m .; code=$?; rm -r $HOME/context; exit $code";
    let refused = stock.shell(script).fails_with(1);
    refused
        .says("by `memory` is not supported yet")
        .never_says("broken pipe");
    stock.ends_clean();
}

/// A container that asks for a network that is not there must not send its client to a registry for the image.
#[test]
fn a_missing_network_is_not_taken_for_a_missing_image() {
    let stock = Stock::with(&["busybox"]);
    let refused = stock.docker(&["run", "--rm", "--network", "nowhere", "busybox", "true"]);
    refused
        .fails_with(125)
        .says("network nowhere not found")
        .never_says("Unable to find image");
    assert_eq!(stock.text(&["ps", "-aq"]), "");
    stock.ends_clean();
}
