//! Tables: a template, and what it makes or says.

use serde_json::{Value, json};

use super::Template;

fn world() -> Value {
    json!({
        "Name": "shop-web-1", "State": "running", "Health": "", "Count": 3, "Load": 1.5, "Up": true,
        "Labels": {"com.docker.compose.service": "web", "a": "1"},
        "Tags": ["nginx:1", "nginx:latest"], "Empty": [], "Nothing": null,
        "Network": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": null}},
    })
}

fn render(template: &str) -> String {
    match Template::parse(template).and_then(|template| template.render(&world())) {
        Ok(text) => text,
        Err(error) => format!("error: {error}"),
    }
}

#[track_caller]
fn table(rows: &[(&str, &str)]) {
    for (template, text) in rows {
        assert_eq!(render(template), *text, "{template}");
    }
}

#[test]
fn values_are_printed_as_go_prints_them() {
    table(&[
        ("plain", "plain"),
        ("{{.Name}}", "shop-web-1"),
        ("{{ .Name }}: {{.State}}", "shop-web-1: running"),
        ("{{.Count}} {{.Load}} {{.Up}}", "3 1.5 true"),
        ("{{.Tags}}", "[nginx:1 nginx:latest]"),
        ("{{.Labels}}", "map[a:1 com.docker.compose.service:web]"),
        ("{{.Nothing}}", "<no value>"),
        ("{{json .Tags}}", r#"["nginx:1","nginx:latest"]"#),
        (
            "{{.Labels | json}}",
            r#"{"com.docker.compose.service":"web","a":"1"}"#,
        ),
        ("{{json .Nowhere}}", "null"),
        (
            r#"{{"a\tb"}}{{`\n`}}{{-5}}{{0x10}}{{1.25}}{{true}}"#,
            "a\tb\\n-5161.25true",
        ),
        ("{{/* nothing */}}x", "x"),
    ]);
}

#[test]
fn trim_markers_take_the_space_beside_them() {
    table(&[
        ("a  {{- .Count -}}  b", "a3b"),
        ("a\n{{- /* gone */ -}}\nb", "ab"),
        ("{{- .Count}} ", "3 "),
        ("{{.Count -}}\n x", "3x"),
        // Without the space it is a number.
        ("{{-3}}", "-3"),
    ]);
}

#[test]
fn conditions_take_what_is_empty_as_false() {
    table(&[
        ("{{if .Health}}h{{else}}none{{end}}", "none"),
        ("{{if .Up}}yes{{end}}", "yes"),
        (
            "{{if .Empty}}x{{else if .Tags}}tags{{else}}y{{end}}",
            "tags",
        ),
        ("{{if .Nowhere.At.All}}x{{else}}absent{{end}}", "absent"),
        ("{{if not .Health}}no health{{end}}", "no health"),
        (
            "{{if and .Up .Health}}x{{else}}one is not{{end}}",
            "one is not",
        ),
        ("{{or .Health .State}}", "running"),
        ("{{and .Up .State}}", "running"),
        ("{{with .Labels}}{{.a}}{{end}}", "1"),
        ("{{with .Nowhere}}x{{else}}gone{{end}}", "gone"),
        (
            "{{with .Nowhere}}x{{else with .Name}}{{.}}{{end}}",
            "shop-web-1",
        ),
        ("{{with $n := .Name}}{{$n}}{{end}}", "shop-web-1"),
    ]);
}

#[test]
fn range_goes_through_lists_maps_and_numbers() {
    table(&[
        ("{{range .Tags}}<{{.}}>{{end}}", "<nginx:1><nginx:latest>"),
        (
            "{{range $i, $tag := .Tags}}{{$i}}={{$tag}} {{end}}",
            "0=nginx:1 1=nginx:latest ",
        ),
        (
            "{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}",
            "a=1;com.docker.compose.service=web;",
        ),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{range .Nowhere}}x{{else}}none{{end}}", "none"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        (
            "{{range .Tags}}{{$.Name}} {{end}}",
            "shop-web-1 shop-web-1 ",
        ),
        (
            "{{range $p, $to := .Network.Ports}}{{$p}}{{range $to}}->{{.HostPort}}{{end}} {{end}}",
            "53/udp 80/tcp->8080 ",
        ),
        (
            "{{range 5}}{{if eq . 1}}{{continue}}{{end}}{{if eq . 3}}{{break}}{{end}}{{.}}{{end}}",
            "02",
        ),
    ]);
}

#[test]
fn variables_live_as_long_as_their_block() {
    table(&[
        ("{{$x := .Count}}{{$x}}", "3"),
        ("{{$x := 1}}{{if .Up}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if .Up}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        (
            "{{$s := \"\"}}{{range .Tags}}{{$s = printf \"%s+%s\" $s .}}{{end}}{{$s}}",
            "+nginx:1+nginx:latest",
        ),
        ("{{$l := .Labels}}{{$l.a}}", "1"),
    ]);
}

#[test]
fn functions_do_as_in_go_and_docker() {
    table(&[
        (
            "{{upper .State}} {{.State | title}} {{lower \"ABC\"}}",
            "RUNNING Running abc",
        ),
        ("{{join .Tags \", \"}}", "nginx:1, nginx:latest"),
        ("{{index (split .Name \"-\") 1}}", "web"),
        ("{{index .Labels \"com.docker.compose.service\"}}", "web"),
        ("{{index .Labels \"none\"}}|", "|"),
        (
            "{{(index (index .Network.Ports \"80/tcp\") 0).HostPort}}",
            "8080",
        ),
        (
            "{{index .Network.Ports \"80/tcp\" 0 \"HostIp\"}}",
            "0.0.0.0",
        ),
        ("{{len .Tags}} {{len .Name}} {{len .Labels}}", "2 10 2"),
        (
            "{{slice .Name 0 4}} {{slice .Tags 1}}",
            "shop [nginx:latest]",
        ),
        (
            "{{truncate .Name 4}}|{{pad .State 1 2}}|{{pad \"\" 3 3}}|",
            "shop| running  ||",
        ),
        ("{{println .Name .Count}}", "shop-web-1 3\n"),
        ("{{print 1 2 \"a\" 3}}", "1 2a3"),
        (
            "{{.Label \"com.docker.compose.service\"}}/{{.Label \"x\"}}/",
            "web//",
        ),
        (
            "{{html \"<a>\"}} {{urlquery \"a b&c\"}} {{js \"it's\"}}",
            "&lt;a&gt; a+b%26c it\\'s",
        ),
    ]);
}

#[test]
fn comparisons_are_by_what_values_count() {
    table(&[
        (
            "{{eq .State \"running\"}} {{eq .Count 3}} {{eq .Count 3.0}}",
            "true true true",
        ),
        ("{{eq .State \"exited\" \"running\"}}", "true"),
        (
            "{{ne .Count 3}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge .Load 1}}",
            "false true true false true",
        ),
        (
            "{{lt \"a\" \"b\"}} {{eq .Nothing nil}} {{eq .Up true}}",
            "true true true",
        ),
        (
            "{{if and (eq .State \"running\") (gt .Count 2)}}both{{end}}",
            "both",
        ),
        ("{{.State | eq \"running\"}}", "true"),
    ]);
}

#[test]
fn printf_pads_and_rounds() {
    table(&[
        (
            "{{printf \"%s is %v\" .Name .State}}",
            "shop-web-1 is running",
        ),
        (
            "{{printf \"%-8s|%8s|\" .State .State}}",
            "running | running|",
        ),
        (
            "{{printf \"%05d %+d %x\" .Count .Count 255}}",
            "00003 +3 ff",
        ),
        ("{{printf \"%.2f %6.1f%%\" .Load .Load}}", "1.50    1.5%"),
        (
            "{{printf \"%q %t %.4s\" .State .Up .Name}}",
            "\"running\" true shop",
        ),
        ("{{.Count | printf \"%d!\"}}", "3!"),
        ("{{printf \"%d\" .Name}}", "%!d(a text=shop-web-1)"),
        ("{{printf \"%s\"}}", "%!s(MISSING)"),
    ]);
}

#[test]
fn errors_name_the_place() {
    table(&[
        ("{{.Nmae}}", "error: template:1:3: there is no field `Nmae`"),
        (
            "{{.name}}",
            "error: template:1:3: there is no field `name`; did you mean `Name`?",
        ),
        (
            "{{.Name.First}}",
            "error: template:1:8: `.First` cannot be used with a text",
        ),
        (
            "a\n b {{.Name",
            "error: template:2:4: an action that begins here has no `}}`",
        ),
        ("{{if .Up}}x", "error: template:1:1: `if` has no `{{end}}`"),
        (
            "{{range .Tags}}{{else}}",
            "error: template:1:1: `range` has no `{{end}}`",
        ),
        (
            "{{end}}",
            "error: template:1:1: `end` where a block to end was expected",
        ),
        (
            "{{frob .Name}}",
            "error: template:1:3: unknown function `frob`",
        ),
    ]);
}

#[test]
fn errors_say_what_was_expected() {
    table(&[
        ("{{$x}}", "error: template:1:3: unknown variable `$x`"),
        (
            "{{template \"x\"}}",
            "error: template:1:1: `template` is not supported",
        ),
        (
            "{{\"abc}}",
            "error: template:1:3: a string that begins here has no end",
        ),
        (
            "{{/* abc}}",
            "error: template:1:1: a comment that begins here has no `*/`",
        ),
        (
            "{{}}",
            "error: template:1:1: nothing where a value was expected",
        ),
        (
            "{{.Name | }}",
            "error: template:1:1: nothing where a value was expected",
        ),
        (
            "{{(.Name}}",
            "error: template:1:4: nothing where `)` was expected",
        ),
        (
            "{{.Name)}}",
            "error: template:1:8: `)` where `}}` was expected",
        ),
        ("{{.Name # 1}}", "error: template:1:9: unexpected `#`"),
        ("{{12x}}", "error: template:1:3: `12x` is not a number"),
        (
            "{{join .Name \",\"}}",
            "error: template:1:3: `join` cannot be used with a text",
        ),
        (
            "{{upper}}",
            "error: template:1:3: `upper` takes one text, not 0",
        ),
        (
            "{{index .Tags 7}}",
            "error: template:1:3: index 7 is outside of 2 elements",
        ),
        (
            "{{.Name .State}}",
            "error: template:1:3: values are given to something that is not a function",
        ),
        (
            "{{range .Up}}{{end}}",
            "error: template:1:9: `range` cannot be used with a truth value",
        ),
        (
            "{{break}}",
            "error: template:1:1: `break` where something outside of `range` was expected",
        ),
    ]);
}

#[test]
fn no_template_makes_it_panic() {
    let pieces = [
        "{{",
        "}}",
        " ",
        ".",
        "Name",
        "$",
        "$x",
        ":=",
        "|",
        "(",
        ")",
        "if",
        "end",
        "range",
        "else",
        "with",
        "-",
        "\"",
        "`",
        "1",
        "index",
        "slice",
        "printf \"%5.1d\"",
        "/*",
        "*/",
        ",",
        "é",
        "\n",
        "{{- ",
        " -}}",
        ".Tags",
        "nil",
        "=",
    ];
    // A small generator of its own: the same templates on every run.
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut template = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let index = usize::try_from(seed >> 33).unwrap_or(0) % pieces.len();
            template.push_str(pieces[index]);
        }
        let _any = render(&template);
    }
}
