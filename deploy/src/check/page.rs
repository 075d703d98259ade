//! The page of rules for operators. Written from the table, so that it cannot say anything else.

use std::fmt::Write as _;

use super::rules::groups;

const HEAD: &str = "\
# What `cistern edge check` looks for

This page is written from the program's own table of rules; `UPDATE_DOCS=1 cargo test -p cistern --test documents` renews it.

```
cistern edge check top.json lower.json                                  # layers, from the top one downwards
cistern edge check top.json lower.json --config-toml top.toml,lower.toml  # the n-th config.toml belongs to the n-th manifest
cistern edge check --config-toml /etc/aziot/config.toml                 # on the device itself, as root: certificates, owners, permissions
cistern edge check --layer lower middle.json                            # one manifest, and what it is
cistern edge check --format json … | jq '.findings[] | select(.severity == \"error\")'
cistern edge check --from-distribution top.json                         # what changes when Cistern takes the registry module's place
docker inspect registry | cistern edge check --from-distribution -      # the same, of the module that runs here
```

Exit code 0: no errors (there may be warnings and notes); 1: at least one error; 2: the command line makes no sense, or a file cannot
be read. Nobody is asked over the network, and nothing is changed.

**How layers are known.** With as many `config.toml` as manifests, the n-th belongs to the n-th, and `parent_hostname` says who is above
whom: trees with several branches are checked this way. Otherwise manifests are layers from top to bottom, each the parent of the next.
A first manifest about which `--layer` says nothing is taken for a lower layer if its edgeAgent or edgeHub comes from `$upstream`; what
rests on this guess alone is a warning. Several devices of one layer: give their `config.toml` files too, or check them one by one.

**Files that a `config.toml` names** are looked for where they are named; with `--root FOLDER` below that folder (a mounted image of the
device); else beside the `config.toml`, where tools for hierarchies put them into one archive. Owner and permissions are judged only
where they are the device's own. A file that is not there is an error in `/etc/aziot` and below `--root`, elsewhere a warning.

A rule's weight is its greatest: where it rests on something that is only likely, a finding weighs less.
";

/// The page, as Markdown.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for group in groups() {
        let _ = write!(
            page,
            "\n## {}\n\n| rule | weight | what is found | what would be seen |\n|---|---|---|---|\n",
            group.title
        );
        for rule in group.rules {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                rule.id,
                rule.severity,
                cell(rule.meaning),
                cell(rule.why)
            );
        }
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
