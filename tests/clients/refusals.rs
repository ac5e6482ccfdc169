//! What is not there yet is refused in words that a client shows, and leaves nothing behind.

use crate::stock::Stock;

/// What the engine cannot do must be said by name, not by a broken connection.
#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    let stock = Stock::with(&["busybox"]);
    stock.text(&["create", "--name", "box", "busybox", "true"]);
    for (arguments, words) in [
        (
            &["cp", "box:/etc/passwd", "-"][..],
            "copying files into or out of a container is not supported yet",
        ),
        (
            &["cp", "/etc/hostname", "box:/tmp"],
            "copying files into or out of a container is not supported yet",
        ),
        (
            &["commit", "box", "copy"],
            "committing a container to an image is not supported yet",
        ),
        (
            &["export", "box"],
            "exporting a container is not supported yet",
        ),
        (
            &["push", "busybox"],
            "pushing to a registry is not supported yet",
        ),
        (&["swarm", "init"], "This node is not a swarm manager"),
    ] {
        stock.docker(arguments).fails_with(1).says(words);
    }
    stock.text(&["rm", "box"]);
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
