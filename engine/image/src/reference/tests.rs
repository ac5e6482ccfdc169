use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn short_names_mean_the_default_registry() {
    let table = [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
        (
            "library/nginx",
            "docker.io/library/nginx:latest",
            "nginx:latest",
        ),
        (
            "grafana/loki",
            "docker.io/grafana/loki:latest",
            "grafana/loki:latest",
        ),
        (
            "docker.io/nginx",
            "docker.io/library/nginx:latest",
            "nginx:latest",
        ),
        (
            "index.docker.io/nginx",
            "docker.io/library/nginx:latest",
            "nginx:latest",
        ),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        (
            "localhost:5000/x",
            "localhost:5000/x:latest",
            "localhost:5000/x:latest",
        ),
        (
            "localhost:5000/x:y",
            "localhost:5000/x:y",
            "localhost:5000/x:y",
        ),
        (
            "127.0.0.1:5000/a/b",
            "127.0.0.1:5000/a/b:latest",
            "127.0.0.1:5000/a/b:latest",
        ),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
        (
            "library/a/b",
            "docker.io/library/a/b:latest",
            "library/a/b:latest",
        ),
        (
            "a__b-c---d.e",
            "docker.io/library/a__b-c---d.e:latest",
            "a__b-c---d.e:latest",
        ),
        ("x:0", "docker.io/library/x:0", "x:0"),
        ("Upper/x", "Upper/x:latest", "Upper/x:latest"),
    ];
    for (written, canonical, familiar) in table {
        let reference: Reference = written.parse().unwrap();
        assert_eq!(reference.canonical(), canonical, "{written}");
        assert_eq!(reference.familiar(), familiar, "{written}");
    }
}

#[test]
fn a_digest_takes_the_place_of_the_default_tag() {
    let reference: Reference = format!("nginx@sha256:{HEX}").parse().unwrap();
    assert_eq!(reference.tag(), None);
    assert_eq!(reference.familiar(), format!("nginx@sha256:{HEX}"));
    let both: Reference = format!("nginx:1@sha256:{HEX}").parse().unwrap();
    assert_eq!(both.tag(), Some("1"));
    assert_eq!(both.wanted(), format!("sha256:{HEX}"));
}

#[test]
fn what_is_no_name_is_refused() {
    let long = "a".repeat(256);
    let long_tag = format!("x:{}", "t".repeat(129));
    for text in [
        "",
        ":x",
        "x:",
        "x:-a",
        "a//b",
        "/a",
        "a/",
        "a..b",
        "a___b",
        "a._b",
        "-a",
        "a-",
        "_a",
        "a b",
        "ä",
        "host.io:port/x",
        "localhost:/x",
        "-bad.io/x",
        "x@sha256:12",
        "x@",
        "a@b@c",
        "https://x.io/y",
        "x:y:z",
        &long,
        &long_tag,
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text:?}");
    }
    assert!(matches!(
        "Nginx".parse::<Reference>(),
        Err(ReferenceError::Uppercase(_))
    ));
    assert!(matches!(
        HEX.parse::<Reference>(),
        Err(ReferenceError::LooksLikeId(_))
    ));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC{0,80}") {
        let _either = text.parse::<Reference>();
    }

    #[test]
    fn both_forms_mean_the_same(
        host in prop::option::of("(localhost|[a-z]{1,8}\\.[a-z]{2,3})(:[0-9]{1,5})?"),
        path in "[a-z0-9]{1,8}((_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,8}(\\.[a-z0-9]{1,4}){0,2}){0,2}",
        tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        digest in any::<bool>(),
    ) {
        let mut text = host.map(|host| host + "/").unwrap_or_default() + &path;
        if let Some(tag) = tag {
            text = text + ":" + &tag;
        }
        if digest {
            text = text + "@sha256:" + HEX;
        }
        let reference: Reference = text.parse().unwrap();
        prop_assert_eq!(&reference.canonical().parse::<Reference>().unwrap(), &reference);
        prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
        let json = serde_json::to_string(&reference).unwrap();
        prop_assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), reference);
    }
}
