//! The keys of the two dialects of hierarchy files.

/// How one of the two spells its keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What it is known by.
    pub(super) program: &'static str,
    pub(super) version: &'static str,
    pub(super) hub: &'static str,
    pub(super) hub_hostname: &'static str,
    pub(super) hub_name: &'static str,
    pub(super) authentication: &'static str,
    pub(super) symmetric_key: &'static str,
    pub(super) certificate: &'static str,
    pub(super) certificates: &'static str,
    pub(super) root_certificate: &'static str,
    pub(super) root_key: &'static str,
    pub(super) configuration: &'static str,
    pub(super) template: &'static str,
    pub(super) default_edge_agent: &'static str,
    pub(super) devices: &'static str,
    pub(super) id: &'static str,
    pub(super) hostname: &'static str,
    pub(super) edge_agent: &'static str,
    pub(super) deployment: &'static str,
    pub(super) auth: &'static str,
    pub(super) address: &'static str,
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) children: &'static str,
    /// Whether there may be several devices without a parent.
    pub(super) has_many_roots: bool,
}

/// `iotedge_config`: one root, words joined by underscores.
pub(super) const SNAKE: Dialect = Dialect {
    program: "iotedge_config",
    version: "config_version",
    hub: "iothub",
    hub_hostname: "iothub_hostname",
    hub_name: "iothub_name",
    authentication: "authentication_method",
    symmetric_key: "symmetric_key",
    certificate: "x509_certificate",
    certificates: "certificates",
    root_certificate: "root_ca_cert_path",
    root_key: "root_ca_cert_key_path",
    configuration: "configuration",
    template: "template_config_path",
    default_edge_agent: "default_edge_agent",
    devices: "edgedevices",
    id: "device_id",
    hostname: "hostname",
    edge_agent: "edge_agent",
    deployment: "deployment",
    auth: "container_auth",
    address: "serveraddress",
    username: "username",
    password: "password",
    children: "child",
    has_many_roots: false,
};

/// `az iot edge devices create`: a list of roots, words joined by capitals. The hub's name is an argument there; here it may be a key.
pub(super) const CAMEL: Dialect = Dialect {
    program: "az iot edge devices create",
    version: "configVersion",
    hub: "iotHub",
    hub_hostname: "iotHubHostname",
    hub_name: "iotHubName",
    authentication: "authenticationMethod",
    symmetric_key: "symmetricKey",
    certificate: "x509Certificate",
    certificates: "certificates",
    root_certificate: "rootCACertPath",
    root_key: "rootCACertKeyPath",
    configuration: "edgeConfiguration",
    template: "templateConfigPath",
    default_edge_agent: "defaultEdgeAgent",
    devices: "edgeDevices",
    id: "deviceId",
    hostname: "hostname",
    edge_agent: "edgeAgent",
    deployment: "deployment",
    auth: "containerAuth",
    address: "serverAddress",
    username: "username",
    password: "password",
    children: "children",
    has_many_roots: true,
};

impl Dialect {
    /// What this dialect calls a key that the other one calls `key`.
    pub(super) fn spelling_of(&self, key: &str) -> Option<&'static str> {
        let pairs = SNAKE.keys().into_iter().zip(CAMEL.keys());
        pairs
            .filter(|(snake, camel)| snake != camel && (*snake == key || *camel == key))
            .map(|(snake, camel)| if self.has_many_roots { camel } else { snake })
            .find(|ours| *ours != key)
    }

    fn keys(&self) -> [&'static str; 21] {
        [
            self.version,
            self.hub,
            self.hub_hostname,
            self.hub_name,
            self.authentication,
            self.certificates,
            self.root_certificate,
            self.root_key,
            self.configuration,
            self.template,
            self.default_edge_agent,
            self.devices,
            self.id,
            self.hostname,
            self.edge_agent,
            self.deployment,
            self.auth,
            self.address,
            self.username,
            self.password,
            self.children,
        ]
    }
}
