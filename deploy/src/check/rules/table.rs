//! The rules themselves: name, weight, what is found, what would be seen on a device.

use super::{Group, Rule};
use crate::Severity;

rules! {
    FILES "Files" {
        NOT_A_MANIFEST "not-a-manifest" Error
            "the file is no deployment manifest"
            "IoT Hub refuses it, or edgeAgent reports `The deployment configuration is invalid` and changes nothing"
        ODD_VALUE "odd-value" Warning
            "a value is not of the kind that is expected there"
            "readers of JSON differ about it; edgeAgent may refuse the whole deployment"
        NOT_TOML "not-toml" Error
            "the file is no TOML"
            "`iotedge config apply` stops with a parse error and the device keeps its old configuration"
    }
    IMAGES "Images of modules" {
        UPSTREAM_WITHOUT_PORT "upstream-without-port" Error
            "`$upstream` is not followed by `:` and a port that begins with 1-9"
            "edgeAgent throws an ArgumentException for this image and the deployment stays where it is"
        UPSTREAM_ON_TOP "upstream-on-top" Error
            "`$upstream` on a device that has no parent"
            "there is no parent to put in its place: edgeAgent asks docker for `:443/…`, which docker refuses as an invalid reference"
        UPSTREAM_PORT "upstream-port" Error
            "the port behind `$upstream` is not the one the parent's API proxy listens on"
            "the pull ends with `connection refused`"
        SINGLE_LABEL_PARENT "single-label-parent" Error
            "an image begins with a name without `.` or `:`"
            "docker takes it for a user of Docker Hub: `pull access denied for parent/azureiotedge-…`"
        TAG_AND_DIGEST "tag-and-digest" Error
            "an image has a tag and a digest"
            "edgeAgent cannot take the name apart and refuses the deployment"
        MISSING_TAG "missing-tag" Warning
            "an image has neither tag nor digest"
            "edgeAgent adds `:latest`; Microsoft publishes no `latest` of the runtime, and what runs changes without a deployment"
        BAD_IMAGE "bad-image" Error
            "a text is no image name"
            "docker answers `invalid reference format` and the module never starts"
        MISSING_IMAGE "missing-image" Error
            "a module has no image"
            "edgeAgent refuses the deployment: `Image is required`"
        PLACEHOLDER "placeholder" Note
            "an image still has a placeholder"
            "it has to be filled in before the deployment; edgeAgent refuses an image that begins with `$` and is not `$upstream:PORT`"
        PAST_PARENT "past-parent" Warning
            "a lower layer takes an image from somewhere else than its parent"
            "in an isolated network the pull ends with a timeout or `no such host`"
        SECOND_REGISTRY "second-registry" Warning
            "images come from a registry that the cache does not serve"
            "children that ask for them through the cache get `manifest unknown`"
        MISSING_DIAGNOSTICS "missing-diagnostics" Warning
            "the diagnostics image is not known to be in what children can reach"
            "`iotedge check` on a child fails in every check that runs a container, the most common failure of nested devices"
        DIAGNOSTICS_PORT "diagnostics-port" Note
            "children cannot reach the diagnostics image under its usual name"
            "`iotedge check` asks PARENT/azureiotedge-diagnostics, without a port, so on 443, where no proxy listens"
        HAND_LOADED "hand-loaded" Note
            "an image is never pulled"
            "it has to be loaded onto the device by hand, or the module does not start: `No such image`"
        AGENT_TOO_OLD "agent-too-old" Error
            "edgeAgent of a lower layer is older than 1.2"
            "it knows no `$upstream` and no parent; `iotedge check` fails on it"
        END_OF_LIFE "end-of-life" Note
            "an edition of the runtime that gets no updates any more"
            "1.4 ended on 2024-11-12, the ones before it earlier: no security fixes"
        EDITIONS_DIFFER "editions-differ" Warning
            "edgeAgent and edgeHub are of different editions"
            "Microsoft tests and supports them only together"
    }
    CREDENTIALS "Credentials of registries" {
        CREDENTIAL_SCHEME "credential-scheme" Error
            "the address of a registry has a scheme or a path"
            "edgeAgent compares it with the part of the image before the first `/`: it never matches, and the pull ends with `unauthorized`"
        CREDENTIAL_PORT "credential-port" Error
            "the address differs from the images only in its port"
            "the port is part of the comparison: the credentials are never used, and the pull ends with `unauthorized`"
        CREDENTIAL_UNUSED "credential-unused" Warning
            "the address is that of no image"
            "the credentials are never used"
        CREDENTIAL_BLANK "credential-blank" Error
            "address, user name or password is missing or blank"
            "edgeAgent refuses the whole deployment"
        CREDENTIAL_MISSING "credential-missing" Warning
            "there are no credentials for a registry that usually asks for some"
            "the pull ends with `unauthorized: authentication required`"
    }
    PROXY "The API proxy" {
        PROXY_MISSING "proxy-missing" Error
            "a layer that has children has no API proxy"
            "nothing listens for the children: their pulls and connections end with `connection refused`"
        PROXY_PORT_UNBOUND "proxy-port-unbound" Error
            "the port the API proxy listens on is not bound to the same port of the device"
            "children connect to NGINX_DEFAULT_PORT of this device and get `connection refused`"
        PROXY_PORT_DIFFERS "proxy-port-differs" Error
            "NGINX_DEFAULT_PORT differs between a layer and its parent"
            "a proxy reaches its parent on its own port: every child pull ends with 502"
        PROXY_NAME_DIFFERS "proxy-name-differs" Error
            "the API proxies of a layer and its parent have different module names"
            "a proxy verifies its parent's certificate against its own module name: every child pull ends with 502"
        ROUTE_MISSING "route-missing" Error
            "the API proxy is not told where the registry module is"
            "on the top layer nginx has no place for /v2/ and children get its 404; below, the registry module is never asked"
        ROUTE_SCHEME "route-scheme" Error
            "DOCKER_REQUEST_ROUTE_ADDRESS has a scheme or a path"
            "nginx puts `http://` in front of it and does not start, or answers every child with 502"
        ROUTE_TO_NOBODY "route-to-nobody" Error
            "DOCKER_REQUEST_ROUTE_ADDRESS names no module of this manifest"
            "nginx logs `registry could not be resolved` and answers every child with 502"
        ROUTE_PORT "route-port" Error
            "DOCKER_REQUEST_ROUTE_ADDRESS has another port than the registry module listens on"
            "nginx gets `connection refused` and answers every child with 502"
        CONNECTED_REGISTRY "connected-registry" Note
            "ACR connected registry"
            "Microsoft ended its support on IoT Edge on 2024-09-30"
    }
    PORTS "Ports of the device" {
        PORT_CLASH "port-clash" Error
            "two modules want the same port of the device"
            "docker says `port is already allocated` and the one that comes second never starts"
        HUB_PORTS "hub-ports" Warning
            "edgeHub of a layer with children binds neither 5671 nor 8883"
            "children reach edgeHub only by web sockets through the API proxy; with their default protocol they stay disconnected"
    }
    REGISTRY "The registry module" {
        REMOTE_SCHEME "remote-scheme" Error
            "REGISTRY_PROXY_REMOTEURL has no scheme"
            "CNCF Distribution ends with a Go panic at its start, and children see 502; Cistern takes it as https://"
        REMOTE_TRUNCATED "remote-truncated" Error
            "the host of REGISTRY_PROXY_REMOTEURL is cut short"
            "the name does not resolve: nothing that is not cached yet can be pulled"
        REMOTE_MISSING "remote-missing" Warning
            "the registry module has no REGISTRY_PROXY_REMOTEURL"
            "it is an empty registry and not a cache: children get `manifest unknown`"
        UPSTREAM_IN_ENV "upstream-in-env" Error
            "`$upstream` in an environment variable"
            "nobody replaces it there; only Cistern knows it, in the addresses of its upstreams"
        REGISTRY_WITHOUT_VOLUME "registry-without-volume" Warning
            "the registry module keeps its store inside its container"
            "every update or recreation of the module throws the cache away, and with the uplink down children get nothing"
        THROUGH_ITSELF "through-itself" Error
            "the registry module's image is pulled through itself"
            "edgeAgent removes the old container before the second pull: the one who should answer is gone, and the module stays away"
        SEVERAL_REGISTRIES "several-registries" Note
            "more than one registry module"
            "the API proxy routes to one of them only"
        REGISTRY_SETTING "registry-setting" Error
            "a setting of the registry module that its program does not take"
            "it does not start, or starts without what the setting asks for"
        SECRET_IN_ENV "secret-in-env" Note
            "a secret stands in the environment as plain text"
            "everybody who may read the deployment in IoT Hub, or run `docker inspect` on the device, can read it"
        BOOTSTRAP_INCOMPLETE "bootstrap-incomplete" Warning
            "the cache's bootstrap set lacks an image that a child's start depends on"
            "after a power cut with the uplink down a child whose images were never asked for does not come up"
        NO_WAY_BACK "no-way-back" Warning
            "the bootstrap set names fewer than two versions of the cache of lower layers"
            "a link that drops in the middle of an update leaves a lower layer without a cache, and without an old version to go back to"
    }
    OPTIONS "Create options" {
        OPTIONS_NOT_JSON "options-not-json" Error
            "createOptions are no JSON"
            "edgeAgent refuses the whole deployment"
        OPTIONS_GAP "options-gap" Error
            "the chunks of createOptions are not numbered without gaps"
            "edgeAgent refuses the module's settings: `Error while parsing chunked property`"
        OPTIONS_TOO_LONG "options-too-long" Error
            "a chunk of createOptions is longer than IoT Hub keeps in one value"
            "IoT Hub refuses a text of more than 4096 bytes in a twin; edgeAgent itself writes chunks of 512"
    }
    RUNTIME "edgeAgent and edgeHub" {
        SCHEMA_VERSION "schema-version" Error
            "a schemaVersion that the runtime does not accept"
            "edgeAgent takes 1.0 and 1.1, edgeHub up to 1.2; otherwise the deployment is refused"
        NO_ROUTE_UPSTREAM "no-route-upstream" Warning
            "no route of edgeHub leads INTO $upstream"
            "messages of devices and modules, those of the layers below included, never reach IoT Hub"
        EXPERIMENTAL "experimental" Note
            "a leftover of previews: experimentalFeatures"
            "nested edge is no experiment since 1.2; the variable does nothing, or switches on what nobody supports"
    }
    NAMES "Names in config.toml" {
        COLON "colon" Error
            "`key: \"value\"` in a config.toml"
            "TOML knows only `key = \"value\"`: `iotedge config apply` stops with a parse error. Microsoft's page shows it with a colon"
        STRAY_KEY "stray-key" Error
            "a key of the beginning stands in a section"
            "it belongs to that section now and nobody reads it: the device runs with another name, or without trust bundle"
        HOSTNAME_MISSING "hostname-missing" Warning
            "no hostname"
            "the name of the operating system is used; children that know another one see `certificate is valid for …`"
        HOSTNAME_TOO_LONG "hostname-too-long" Error
            "a hostname of 64 characters or more"
            "it becomes the common name of the server's certificate, which has room for 63: no certificate, edgeHub does not start"
        NOT_A_NAME "not-a-name" Error
            "a hostname with scheme, port, path or blanks"
            "it is put into certificates and addresses as it is: nobody can connect"
        HOSTNAME_SINGLE_LABEL "hostname-single-label" Error
            "a hostname that is neither an address nor has a `.`"
            "docker on a child takes it for a user of Docker Hub: `pull access denied`"
        HOSTNAMES_MIXED "hostnames-mixed" Error
            "addresses and names are mixed in one hierarchy"
            "certificates are issued for one of both: children see `certificate is valid for …, not …`"
        PARENT_UNKNOWN "parent-unknown" Error
            "parent_hostname is the hostname of no given device"
            "the certificate of the parent does not carry this name, or it does not resolve: no connection"
        PARENT_IS_SELF "parent-is-self" Error
            "a device is its own parent, or its parents go round in a circle"
            "it waits for itself and never connects"
    }
    AGENT "The agent in config.toml" {
        AGENT_PAST_PARENT "agent-past-parent" Warning
            "the first image of a lower layer does not come from its parent"
            "in an isolated network edgeAgent never starts: `iotedge system logs` shows the pull failing once a minute"
        AGENT_PORT "agent-port" Error
            "the agent's image is asked for on another port than the parent's API proxy listens on"
            "the pull ends with `connection refused` and edgeAgent never starts"
        AGENT_OPTIONS "agent-options" Error
            "agent.config.createOptions is no table"
            "`iotedge config apply` refuses it: in config.toml it is no text of JSON, as it is in deployments"
        AGENT_LOGIN "agent-login" Error
            "agent.config.auth does not fit the agent's image"
            "docker is given no credentials for this registry: `unauthorized`, and edgeAgent never starts"
        COLLECTION_SHORT "collection-short" Warning
            "unused images leave the device after less than a day"
            "a module that is recreated afterwards needs the registry again, also when the link is down"
    }
    CERTIFICATES "Certificates" {
        BUNDLE_MISSING "bundle-missing" Error
            "a device of a hierarchy has no trust_bundle_cert"
            "it does not trust its parent, and its modules do not trust it: `unable to get local issuer certificate`"
        QUICKSTART_CA "quickstart-ca" Error
            "a device of a hierarchy makes its own edge CA"
            "nobody above or below trusts it: children see `self signed certificate in certificate chain`, and it is made anew after 90 days"
        EDGE_CA_HALF "edge-ca-half" Error
            "of cert and pk in [edge_ca] only one is there"
            "`iotedge config apply` refuses it"
        NOT_A_FILE_URI "not-a-file-uri" Error
            "a certificate or key is not named by a file:/// URI"
            "`iotedge config apply` refuses it or does not find the file"
        FILE_MISSING "file-missing" Error
            "a file that is named cannot be read"
            "the certificates service cannot start with it; every module waits for its certificate"
        BAD_CERTIFICATE "bad-certificate" Error
            "a file holds no certificate in PEM"
            "the certificates service refuses it; DER and PFX files have to be converted"
        BAD_KEY "bad-key" Error
            "a file holds no key that IoT Edge can use"
            "the keys service refuses it, and edgeHub gets no certificate"
        KEY_MISMATCH "key-mismatch" Error
            "the key is not the one of the edge CA's certificate"
            "every certificate issued with it is refused: `certificate signature failure`"
        KEY_EXPOSED "key-exposed" Warning
            "a private key lies in a file of certificates"
            "files of certificates may be read by everybody on the device"
        NOT_AN_AUTHORITY "not-an-authority" Error
            "a certificate that has to sign others may not sign"
            "clients refuse everything it signed: `invalid CA certificate`"
        CHAIN_BROKEN "chain-broken" Error
            "the chain of the edge CA does not reach the trust bundle"
            "children see `verify error:num=20:unable to get local issuer certificate`"
        OTHER_ROOT "other-root" Error
            "the chain of the edge CA ends in a root that is not in the trust bundle"
            "children, whose bundle is the same, see `self signed certificate in certificate chain`"
        BUNDLES_DIFFER "bundles-differ" Error
            "two devices that talk to each other have no root in common"
            "the child refuses its parent's certificate: `certificate signed by unknown authority`"
        EXPIRED "expired" Error
            "a certificate is past its end"
            "every connection is refused: `certificate has expired`"
        EXPIRES_SOON "expires-soon" Warning
            "a certificate ends within thirty days"
            "then every connection is refused; a new edge CA restarts all modules, so choose the hour yourself"
        NOT_YET_VALID "not-yet-valid" Error
            "a certificate does not count yet"
            "connections are refused until then; often the clock of the device that made it was wrong"
        TEST_CA "test-ca" Warning
            "a certificate made by Microsoft's test scripts"
            "its password is public and it ends after thirty days"
        WRONG_OWNER "wrong-owner" Warning
            "a certificate or key belongs to the wrong user"
            "the service of its name cannot read it: edgeHub waits for a certificate that never comes"
        WRONG_MODE "wrong-mode" Warning
            "a certificate or key has the wrong permissions"
            "certificates have to be readable by all services (644, folder 755), keys by aziotks alone (600, folder 700)"
    }
}
