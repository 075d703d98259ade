//! The documentation of the keys, written from the table that the program itself reads by. The page in `deploy/docs` and the table
//! in the README are what these functions return.

use std::fmt::Write as _;

use super::keys::{self, From, Key, Shape, Standing};

/// The operator's page: every key, what we do with it, its default and its variable.
pub fn reference_page() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str(
        "\n## Keys that are read\n\nKeys marked with * are ours; Distribution does not know them",
    );
    page.push_str(" and reads past them.\n\n");
    page.push_str(&reference_table());
    page.push_str(ACCESS);
    page.push_str("\n## Keys that stop the start\n\nThey decide who may come in, how the wire is protected, where bytes live or what is");
    page.push_str(
        " served, and are not supported yet.\n\n| key | why | instead |\n|---|---|---|\n",
    );
    for key in keys::all() {
        if let Standing::Refused { advice } = key.standing {
            let _ = writeln!(page, "| `{}` | {} | {advice} |", key.path, key.why);
        }
    }
    page.push_str("| `http.net: unix` | unix sockets are not listened on | set `http.addr` to an address such as `127.0.0.1:5000` |\n");
    page.push_str(
        "\n## Keys with no effect, and a warning\n\n| key | what is not done |\n|---|---|\n",
    );
    push_rows(&mut page, Standing::Missing);
    page.push_str("\n## Keys without which nothing is lost\n\nThey are accepted in silence.\n\n| key | why |\n|---|---|\n");
    push_rows(&mut page, Standing::Accepted);
    page
}

/// The keys that are read, as one Markdown table.
pub fn reference_table() -> String {
    let mut table = String::from("| key | default | meaning |\n|---|---|---|\n");
    for key in keys::all() {
        if let Standing::Used {
            shape,
            default,
            from,
        } = key.standing
        {
            let mark = if from == From::Cistern { " *" } else { "" };
            let (default, meaning) = (default_cell(default), meaning(key, shape));
            let _ = writeln!(table, "| `{}`{mark} | {default} | {meaning} |", key.path);
        }
    }
    table
}

fn default_cell(default: &str) -> String {
    if default.is_empty() {
        String::new()
    } else {
        format!("`{default}`")
    }
}

fn meaning(key: &Key, shape: Shape) -> String {
    match shape {
        Shape::One | Shape::Secret | Shape::Names => key.why.to_owned(),
        Shape::Several => format!("{} A list.", key.why),
    }
}

fn push_rows(page: &mut String, standing: Standing) {
    for key in keys::all().filter(|key| key.standing == standing) {
        let _ = writeln!(page, "| `{}` | {} |", key.path, key.why);
    }
}

const INTRODUCTION: &str = "\
# Configuration

Cistern reads the `config.yml` of CNCF Distribution (version 0.1) and its environment variables. With no configuration at all it
listens on port 5000 and keeps its store in `/var/lib/registry`. `cistern config check` prints what will be served from where, who
set it, and everything that is wrong or doubtful; `--strict` counts warnings as errors. `deploy/config.example.yml` shows every key.

Which file is read:

| command | file |
|---|---|
| `cistern serve FILE` or `cistern FILE` | that file |
| `cistern serve` | `$REGISTRY_CONFIGURATION_PATH`, else none |
| `cistern`, as in a container | `$REGISTRY_CONFIGURATION_PATH`, else `/etc/distribution/config.yml`, else `/etc/docker/registry/config.yml`, else none |

- **Variables**: a key's path in upper case, joined by `_`, after `REGISTRY_`: `proxy.remoteurl` is `REGISTRY_PROXY_REMOTEURL`. A variable
  overrides the file; an empty one unsets the key. Values are YAML. A list may be `a,b`, `[a, b]`, or one variable per element:
  `REGISTRY_PROXY_ALIASES_0`, `REGISTRY_PROXY_ALIASES_1`. A header is `REGISTRY_HTTP_HEADERS_X-FRAME-OPTIONS=[deny]`.
- **`proxy.routes`** is a list of maps: `proxy.routes.0.prefix` below is the first route's, further ones have 1, 2 and so on, without a gap, and
  so have their variables: `REGISTRY_PROXY_ROUTES_1_PREFIX`, `REGISTRY_PROXY_ROUTES_1_CA_0`. See [routes.md](routes.md).
- **Durations** are Go's: `168h`, `1m30s`, `1.5h`, `100ms`. A bare number is nanoseconds, as in Distribution, and refused below one second.
- **Sizes** have a unit: `500MiB`, `20GiB` (1024), `20GB` (1000), or are a share of the disk: `5%`.
- **Secrets** are better kept in files: `proxy.passwordfile`, or `REGISTRY_PROXY_PASSWORD_FILE` and `REGISTRY_PROXY_USERNAME_FILE`
  (`REGISTRY_PROXY_ROUTES_0_PASSWORD_FILE`).
- **`proxy.remoteurl`** may be `host`, `host:port`, a URL with or without a slash at its end, or `$upstream:443`, which stands for
  `IOTEDGE_PARENTHOSTNAME` of the environment. Without a scheme it is https. `docker.io` is Docker Hub.
- **Proxies** on the way out: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, or the same in lower case; upper case wins, as in Go programs.
- **Mistakes**: an unknown key below `proxy`, `hosted`, `auth`, `storage` or `storage.cache` is an error, elsewhere a warning; an unknown `REGISTRY_…` variable is a
  warning. All findings are reported at once.
";

const ACCESS: &str = "
## Who may come in, and who may write

| `auth.htpasswd` | `proxy.remoteurl` or `proxy.routes` | who writes to hosted repositories |
|---|---|---|
| set | either | whoever has a login; from the networks in `hosted.writefrom` only, if that is set |
| not set | set | this machine only (127.0.0.0/8 and ::1), or the networks in `hosted.writefrom` |
| not set | not set | everybody who reaches the address, as with Distribution, or the networks in `hosted.writefrom` |

`cistern config check` says which of these holds. Mirrored repositories take writes from nobody: 405.

- **Logins**: `htpasswd -Bbn USER PASSWORD >> FILE`; only bcrypt counts, as with Distribution. Every user of the file may read and write everything.
  The file is read again when it changes: a new user gets in at once, one taken out may go on for a second. Passwords cross the wire in the
  clear: let a proxy in front speak TLS. A file that is missing or lets nobody in stops the start. While
  the server runs, a file that goes missing changes nothing, and one without users lets nobody in. `/healthz`, `/readyz` and the metrics ask for no login.
- **`http.anonymouspull`** lets read whoever shows no login. `/v2/` then asks for none, and clients that look only there (docker, podman, skopeo,
  buildah) do not send theirs: they pull, and cannot push. Clients that answer a 401 of any request, such as containerd, can. A wrong login is refused wherever it is shown;
  `docker login` and `podman login` show it only if `/v2/` asks, and then say that it succeeded whatever it is.
- **Addresses**: a caller that comes through a proxy has the proxy's address. One on this machine, nginx or the IoT Edge API proxy, counts as this
  machine, so that whoever reaches it may push: name it in `http.trustedproxies`, then the address in `X-Forwarded-For` counts. In a container with a
  published port, `docker push` on the host itself comes from the bridge, such as 172.17.0.1: name that in `hosted.writefrom`.
- **Push to port 5000**: the stock IoT Edge API proxy refuses bodies beyond 1 MiB.
";
