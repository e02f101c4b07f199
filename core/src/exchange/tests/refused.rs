//! Refused requests and refused calls: status, text and form in each era. The texts are those of recorded daemons:
//! Docker 1.6.2 up to v1.18, 1.10.3 up to v1.22, 20.10 above.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::{super::*, ID, PLAIN, begin, call, content_type, text};
use crate::{ImageUse, RegistryLack, StartFailure};

#[test]
fn refused_requests() {
    let mut count = 0;
    for line in include_str!("../../../tests/cases/refused.tsv").lines().skip(1) {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, method, target, typed, body, status, message] = fields[..] else {
            panic!("{line}")
        };
        count += 1;
        let given = |field: &'static str| Some(field).filter(|field| *field != "-");
        let refused = begin(method, target, given(typed))
            .and_then(|mut exchange| exchange.call(given(body).unwrap_or_default().as_bytes()));
        let response = refused.expect_err(name);
        let found = (response.status.to_string(), text(&response));
        assert_eq!(
            found,
            (status.to_owned(), message.to_owned()),
            "{name}: {method} {target}"
        );
        // Errors are JSON from v1.24 on, and for versions that are not served.
        let minor = target
            .strip_prefix("/v1.")
            .and_then(|rest| rest.split('/').next()?.parse().ok());
        let is_old = minor.is_some_and(|minor: u8| minor < 24);
        let form = if is_old { PLAIN } else { "application/json" };
        assert_eq!(content_type(&response), Some(form), "{name}: {target}");
    }
    assert_eq!(count, 186);
}

#[test]
fn bad_values_are_named() {
    let rows = [
        (r#"{"Image":"a","Memory":"lots"}"#, "Memory"),
        (r#"{"Image":"a","HostConfig":{"Memory":"lots"}}"#, "HostConfig.Memory"),
        (r#"{"Image":"a","Cmd":5}"#, "Cmd"),
        (r#"{"Image":"a","Cmd":["x",5]}"#, "Cmd"),
        (r#"{"Image":5}"#, "Image"),
        (r#"{"Image":"a","Tty":"yes"}"#, "Tty"),
        (r#"{"Image":"a","HostConfig":{"Binds":{}}}"#, "HostConfig.Binds"),
        (
            r#"{"Image":"a","NetworkingConfig":{"EndpointsConfig":[]}}"#,
            "NetworkingConfig.EndpointsConfig",
        ),
    ];
    for (body, key) in rows {
        for version in ["1.12", "1.24"] {
            assert_named(&format!("/v{version}/containers/create"), body, 500, key);
        }
    }
    let rows = [
        ("/containers/x/update", 500, r#"{"CpuShares":"lots"}"#, "CpuShares"),
        ("/containers/x/update", 500, r#"{"blkioweight":-1}"#, "BlkioWeight"),
        ("/containers/x/update", 500, r#"{"CpusetCpus":0}"#, "CpusetCpus"),
        (
            "/containers/x/update",
            500,
            r#"{"RestartPolicy":"always"}"#,
            "RestartPolicy",
        ),
        ("/containers/x/exec", 400, r#"{"Cmd":["x",5]}"#, "Cmd"),
        ("/containers/x/exec", 400, r#"{"Cmd":["x"],"Tty":1}"#, "Tty"),
        ("/containers/x/exec", 400, r#"{"cmd":["x"],"USER":1000}"#, "User"),
        (
            "/containers/x/exec",
            400,
            r#"{"Cmd":["x"],"DetachKeys":["a"]}"#,
            "DetachKeys",
        ),
        ("/exec/x/start", 400, r#"{"detach":[]}"#, "Detach"),
    ];
    for (path, status, body, key) in rows {
        assert_named(&format!("/v1.22{path}"), body, 500, key);
        assert_named(&format!("/v1.24{path}"), body, status, key);
    }
}

fn assert_named(target: &str, body: &str, status: u16, key: &str) {
    let response = call("POST", target, body).expect_err(body);
    assert_eq!(response.status, status, "{target} {body}");
    let text = text(&response);
    let start = format!("json: cannot unmarshal {key}: ");
    assert!(text.starts_with(&start) && text.contains("expected"), "{body}: {text}");
}

#[test]
fn bad_values_of_networks_and_volumes_are_named() {
    let rows = [
        ("/networks/create", r#"{"Name":5}"#, "Name"),
        ("/networks/create", r#"{"Name":"n","EnableIPv6":"x"}"#, "EnableIPv6"),
        ("/networks/create", r#"{"Name":"n","Options":{"a":1}}"#, "Options"),
        ("/networks/create", r#"{"Name":"n","labels":[]}"#, "Labels"),
        (
            "/networks/create",
            r#"{"Name":"n","IPAM":{"Config":{}}}"#,
            "IPAM.Config",
        ),
        (
            "/networks/create",
            r#"{"Name":"n","IPAM":{"Config":[{"Subnet":5}]}}"#,
            "IPAM.Config",
        ),
        (
            "/networks/create",
            r#"{"Name":"n","IPAM":{"Options":"x"}}"#,
            "IPAM.Options",
        ),
        ("/networks/n/connect", r#"{"Container":5}"#, "Container"),
        (
            "/networks/n/connect",
            r#"{"Container":"c","EndpointConfig":{"Aliases":"x"}}"#,
            "EndpointConfig.Aliases",
        ),
        ("/networks/n/disconnect", r#"{"Container":"c","Force":1}"#, "Force"),
        ("/volumes/create", r#"{"Name":5}"#, "Name"),
        ("/volumes/create", r#"{"Driver":"d","DriverOpts":[]}"#, "DriverOpts"),
        ("/volumes/create", r#"{"Labels":{"a":1}}"#, "Labels"),
    ];
    for (path, body, key) in rows {
        for (version, status) in [("1.22", 500), ("1.24", 400)] {
            let response = call("POST", &format!("/v{version}{path}"), body).expect_err(body);
            assert_eq!(response.status, status, "{body}");
            let text = text(&response);
            let start = format!("json: cannot unmarshal {key}: ");
            assert!(text.starts_with(&start) && text.contains("expected"), "{body}: {text}");
        }
    }
}

#[test]
fn refusals_about_networks_and_volumes_are_worded_as_in_their_time() {
    let name = || "N".to_owned();
    let id = || ID.to_owned();
    let driver = || Refusal::NoSuchDriver {
        driver: "d".to_owned(),
        name: name(),
    };
    let predefined = || Refusal::PredefinedNetwork { name: name() };
    let (list, make, remove) = ("GET /networks", "POST /networks/create", "DELETE /networks/N");
    let (connect, disconnect) = ("POST /networks/N/connect", "POST /networks/N/disconnect");
    let (make_volume, remove_volume) = ("POST /volumes/create", "DELETE /volumes/N");
    // The refusal, and status and words up to v1.22 and from v1.23 on.
    let rows: Vec<(&str, Refusal, (u16, String), (u16, String))> =
        vec![
        (list, Refusal::BadFilterValue { filter: "type".into(), value: "x".into() },
         (500, "Invalid filter: 'type'='x'".into()), (500, "invalid filter: 'type'='x'".into())),
        (make, Refusal::BadNetworkConfig("Invalid subnet foo : invalid CIDR address: foo".into()),
         (500, "Invalid subnet foo : invalid CIDR address: foo".into()),
         (500, "Invalid subnet foo : invalid CIDR address: foo".into())),
        (make, driver(), (404, "plugin not found".into()), (404, "plugin \"d\" not found".into())),
        (make, Refusal::NetworkNameInUse { name: name() },
         (500, "network with name N already exists".into()), (409, "network with name N already exists".into())),
        (make, Refusal::OneNetworkOnly { driver: "host".into() },
         (500, "only one instance of \"host\" network is allowed".into()),
         (403, "only one instance of \"host\" network is allowed".into())),
        (make, predefined(), (403, "N is a pre-defined network and cannot be created".into()),
         (403, "operation is not permitted on predefined N network ".into())),
        (make, Refusal::SubnetInUse, (500, "Pool overlaps with other one on this address space".into()),
         (403, "Pool overlaps with other one on this address space".into())),
        (remove, predefined(), (403, "N is a pre-defined network and cannot be removed".into()),
         (403, "N is a pre-defined network and cannot be removed".into())),
        (remove, Refusal::NetworkInUse { name: name(), id: id() }, (500, "network N has active endpoints".into()),
         (403, format!("error while removing network: network N id {ID} has active endpoints"))),
        (remove, Refusal::NoSuchNetwork { name: name() }, (404, "network N not found".into()),
         (404, "network N not found".into())),
        (connect, Refusal::NoSuchContainer { name: name() }, (404, "No such container: N".into()),
         (404, "No such container: N".into())),
        (connect, Refusal::EndpointExists { container: "C".into(), network: name() },
         (500, "service endpoint with name C already exists".into()),
         (403, "endpoint with name C already exists in network N".into())),
        (connect, Refusal::HostNetworkIsFixed,
         (500, "Container cannot be disconnected from host network or connected to host network".into()),
         (400, "container cannot be disconnected from host network or connected to host network".into())),
        (disconnect, Refusal::NotConnected { container: id(), network: name() },
         (500, format!("container {ID} is not connected to network N")),
         (500, format!("container {ID} is not connected to network N"))),
        (make_volume, driver(),
         (404, "create N: create N: Error looking up volume plugin d: plugin not found".into()),
         (404, "create N: error looking up volume plugin d: plugin \"d\" not found".into())),
        (make_volume, Refusal::BadVolumeName { name: "a b".into() },
         (500, "create a b: volume name invalid: \"a b\" includes invalid characters for a local volume name, only \
                \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed".into()),
         (400, "create a b: \"a b\" includes invalid characters for a local volume name, only \
                \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
             .into())),
        (make_volume, Refusal::BadVolumeName { name: "x".into() },
         (500, "create x: volume name invalid: \"x\" includes invalid characters for a local volume name, only \
                \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed".into()),
         (400, "create x: volume name is too short, names should be at least two alphanumeric characters".into())),
        (remove_volume, Refusal::NoSuchVolume { name: name() }, (404, "get N: no such volume".into()),
         (404, "get N: no such volume".into())),
        (remove_volume, Refusal::VolumeInUse { name: name(), containers: vec!["a".into(), "b".into()] },
         (409, "Conflict: remove N: volume is in use - [a, b]".into()),
         (409, "remove N: volume is in use - [a, b]".into())),
    ];
    for (request, refusal, old, new) in rows {
        for (version, expected) in [("1.21", &old), ("1.22", &old), ("1.23", &new), ("1.24", &new)] {
            let (method, path) = request.split_once(' ').expect(request);
            let mut exchange = begin(method, &format!("/v{version}{path}"), None).expect(request);
            let response = exchange.respond(Reply::Refused(refusal.clone()));
            assert_eq!((response.status, text(&response)), *expected, "v{version} {request}");
        }
    }
    let option = Refusal::BadVolumeOption {
        name: name(),
        option: "foo".into(),
    };
    let mut exchange = begin("POST", "/v1.24/volumes/create", None).expect("create");
    let response = exchange.respond(Reply::Refused(option));
    assert_eq!(
        (response.status, text(&response)),
        (400, "create N: invalid option: \"foo\"".to_owned())
    );
}

#[test]
fn refusals_are_worded_as_in_their_time() {
    let name = || "N".to_owned();
    let id = || ID.to_owned();
    let missing = || Refusal::NoSuchContainer { name: name() };
    let no_image = |reference: &str| Refusal::NoSuchImage {
        reference: reference.to_owned(),
    };
    let stopped = || Refusal::ContainerNotRunning { id: id(), name: name() };
    let in_use = |by_tag| {
        Refusal::ImageInUse(ImageUse::Stopped {
            reference: "a:b".to_owned(),
            image: format!("sha256:{ID}"),
            container: id(),
            by_tag,
        })
    };
    let running = || {
        let (reference, image) = ("a:b".to_owned(), format!("sha256:{ID}"));
        Refusal::ImageInUse(ImageUse::Running {
            reference,
            image,
            container: id(),
        })
    };
    let start = |cause| Refusal::StartFailed {
        name: name(),
        cause,
        message: "exec: \"x\"".to_owned(),
    };
    let name_in_use = || Refusal::NameInUse {
        name: name(),
        holder: id(),
    };
    let lack = |reference: &str, lack| Refusal::NotInRegistry {
        reference: reference.to_owned(),
        lack,
        why: "W".to_owned(),
    };
    let no_path = || Refusal::NoSuchPath {
        container: name(),
        path: "/p".to_owned(),
    };
    let copy = "POST /containers/N/copy";
    let create = "POST /containers/create";
    let (pull, push) = ("POST /images/create?fromImage=x", "POST /images/x/push");
    let is_paused = || Refusal::ContainerPaused { id: id(), name: name() };
    let unchanged = || Refusal::NameUnchanged { name: name(), id: id() };
    let exec = "POST /containers/N/exec";
    let exec_start = "POST /exec/E/start";
    let exec_resize = "POST /exec/E/resize?h=1&w=1";
    let no_exec = || Refusal::NoSuchExec { id: "E".into() };
    let pause = "POST /containers/N/pause";
    let rename = "POST /containers/N/rename?name=N";
    let restart = "POST /containers/N/restart";
    let top = "GET /containers/N/top";
    let kill = "POST /containers/N/kill";
    let put = "PUT /containers/N/archive?path=/p";
    let rows: Vec<(&str, &str, Refusal, u16, String)> = vec![
        ("1.18", "GET /containers/N/json", missing(), 404, "no such id: N".into()),
        ("1.19", "GET /containers/N/json", missing(), 404, "No such container: N".into()),
        ("1.24", "GET /containers/N/json", missing(), 404, "No such container: N".into()),
        ("1.0", kill, missing(), 404, "no such id: N".into()),
        ("1.22", kill, missing(), 404, "Cannot kill container N: No such container: N".into()),
        ("1.23", kill, missing(), 404, "Cannot kill container: N: No such container: N".into()),
        ("1.20", kill, stopped(), 500, format!("Cannot kill container N: Container {ID} is not running")),
        ("1.24", kill, stopped(), 409, format!("Cannot kill container: N: Container {ID} is not running")),
        ("1.18", "POST /containers/N/resize?h=1&w=1", stopped(), 500,
         format!("Cannot resize container {ID}, container is not running")),
        ("1.22", "POST /containers/N/resize?h=1&w=1", stopped(), 500, format!("Container {ID} is not running")),
        ("1.23", "POST /containers/N/resize?h=1&w=1", stopped(), 409, format!("Container {ID} is not running")),
        ("1.22", kill, Refusal::BadSignal { signal: "BOGUS".into() }, 500, "Invalid signal: BOGUS".into()),
        ("1.23", kill, Refusal::BadSignal { signal: "BOGUS".into() }, 400, "Invalid signal: BOGUS".into()),
        ("1.18", kill, Refusal::BadSignalNumber { container: name(), signal: "999".into() }, 500,
         "Invalid signal: 999".into()),
        ("1.22", kill, Refusal::BadSignalNumber { container: name(), signal: "999".into() }, 500,
         "Cannot kill container N: The linux daemon does not support signal 999".into()),
        ("1.24", kill, Refusal::BadSignalNumber { container: name(), signal: "999".into() }, 500,
         "Cannot kill container: N: The linux daemon does not support signal 999".into()),
        ("1.18", create, no_image("x"), 404, "No such image: x (tag: latest)".into()),
        ("1.19", create, no_image("x"), 404, "No such image: x:latest".into()),
        ("1.24", create, no_image("h:1/x:v"), 404, "No such image: h:1/x:v".into()),
        ("1.22", "GET /images/x/json", no_image("x"), 404, "No such image: x".into()),
        ("1.24", "GET /images/x/json", no_image("x"), 404, "no such image: x: No such image: x:latest".into()),
        ("1.18", "POST /images/x/tag?repo=y", no_image("x"), 404, "could not find image: no such id: x".into()),
        ("1.22", "POST /images/x/tag?repo=y", no_image("x"), 404, "no such id: x".into()),
        ("1.23", "POST /images/x/tag?repo=y", no_image("x"), 404, "No such image: x:latest".into()),
        ("1.18", "POST /commit?container=N", missing(), 404, "no such id: N".into()),
        ("1.24", "POST /commit?container=N", missing(), 404, "No such container: N".into()),
        ("1.22", "POST /commit?container=N", Refusal::BadChange { instruction: "RUN".into() }, 500,
         "run is not a valid change command".into()),
        ("1.24", "POST /commit?container=N", Refusal::BadChange { instruction: "RUN".into() }, 400,
         "run is not a valid change command".into()),
        ("1.22", "POST /commit?container=N",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 500,
         "invalid reference format: repository name must be lowercase".into()),
        ("1.24", "POST /commit?container=N",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 500,
         "invalid reference format: repository name must be lowercase".into()),
        ("1.18", "GET /images/x/history", no_image("x"), 404, "could not find image: no such id: x".into()),
        ("1.22", "GET /images/x/history", no_image("x"), 404, "no such id: x".into()),
        ("1.23", "GET /images/x/history", no_image("x"), 404, "No such image: x:latest".into()),
        ("1.18", "GET /images/x/get", no_image("x"), 404, "could not find image: no such id: x".into()),
        ("1.15", "GET /images/get?names=x", no_image("x"), 404, "could not find image: no such id: x".into()),
        ("1.19", "GET /images/x/get", no_image("x"), 404, "No such image: x".into()),
        ("1.24", "GET /images/get?names=x", no_image("x"), 404, "No such image: x".into()),
        ("1.18", "GET /images/B/get",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 404,
         "could not find image: no such id: B".into()),
        ("1.24", "GET /images/B/get",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 500,
         "invalid reference format: repository name must be lowercase".into()),
        ("1.18", "GET /containers/N/export", missing(), 404, "no such id: N".into()),
        ("1.24", "GET /containers/N/export", missing(), 404, "No such container: N".into()),
        ("1.4", copy, no_path(), 500, "Could not find the file /p in container N".into()),
        ("1.22", copy, no_path(), 500, "Could not find the file /p in container N".into()),
        ("1.23", copy, no_path(), 404, "Could not find the file /p in container N".into()),
        ("1.20", "GET /containers/N/archive?path=/p", no_path(), 404, "Could not find the file /p in container N".into()),
        ("1.22", put, Refusal::NotADirectory { path: "/p".into() }, 400, "extraction point is not a directory".into()),
        ("1.24", put, Refusal::NotADirectory { path: "/p".into() }, 400, "extraction point is not a directory".into()),
        ("1.22", put, Refusal::ReadOnly { path: "/p".into() }, 403, "container rootfs is marked read-only".into()),
        ("1.24", put, Refusal::ReadOnly { path: "/p".into() }, 403, "container rootfs is marked read-only".into()),
        ("1.18", "DELETE /images/x", no_image("x"), 404, "No such image: x".into()),
        ("1.19", "DELETE /images/x", no_image("x"), 404, "No such image: x:latest".into()),
        ("1.18", create, name_in_use(), 409,
         "Conflict. The name \"N\" is already in use by container 4fa6e0f0c678. You have to delete (or rename) that \
          container to be able to reuse that name.".into()),
        ("1.22", create, name_in_use(), 409,
         format!("Conflict. The name \"/N\" is already in use by container {ID}. You have to remove (or rename) that \
                  container to be able to reuse that name.")),
        ("1.24", create, name_in_use(), 409,
         format!("Conflict. The container name \"/N\" is already in use by container \"{ID}\". You have to remove (or \
                  rename) that container to be able to reuse that name.")),
        ("1.22", create, Refusal::BadContainerName { name: "x".into() }, 500,
         "Invalid container name (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed".into()),
        ("1.24", create, Refusal::BadContainerName { name: "x".into() }, 400,
         "Invalid container name (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed".into()),
        ("1.23", create, Refusal::NoCommand, 500, "No command specified".into()),
        ("1.24", create, Refusal::NoCommand, 400, "No command specified".into()),
        ("1.22", "DELETE /containers/N", Refusal::ContainerRunning { id: id() }, 409,
         "Conflict, You cannot remove a running container. Stop the container before attempting removal or use -f"
             .into()),
        ("1.23", "DELETE /containers/N", Refusal::ContainerRunning { id: id() }, 409,
         format!("You cannot remove a running container {ID}. Stop the container before attempting removal or force \
                  remove")),
        ("1.18", "DELETE /images/a:b", in_use(true), 409,
         "Conflict, cannot delete 4fa6e0f0c678 because the container 4fa6e0f0c678 is using it, use -f to force".into()),
        ("1.24", "DELETE /images/a:b", in_use(true), 409,
         "conflict: unable to remove repository reference \"a:b\" (must force) - container 4fa6e0f0c678 is using its \
          referenced image 4fa6e0f0c678".into()),
        ("1.18", "DELETE /images/a:b", running(), 409,
         "Conflict, cannot delete 4fa6e0f0c678 because the running container 4fa6e0f0c678 is using it, stop it and use \
          -f to force".into()),
        ("1.22", "DELETE /images/a:b", running(), 409,
         "conflict: unable to delete 4fa6e0f0c678 (cannot be forced) - image is being used by running container \
          4fa6e0f0c678".into()),
        ("1.22", "DELETE /images/x", Refusal::ImageInUse(ImageUse::SeveralTags { image: id() }), 409,
         "conflict: unable to delete 4fa6e0f0c678 (must be forced) - image is referenced in one or more repositories"
             .into()),
        ("1.12", "POST /images/x/tag?repo=y", Refusal::TagInUse { reference: "y:one".into(), holder: id() }, 409,
         format!("Conflict: Tag one is already set to image {ID}, if you want to replace it, please use -f option")),
        ("1.24", "POST /containers/N/start", start(StartFailure::NotFound), 400,
         "exec: \"x\": executable file not found in $PATH".into()),
        ("1.24", "POST /containers/N/start", start(StartFailure::NotExecutable), 400,
         "exec: \"x\": permission denied".into()),
        ("1.24", "POST /containers/N/start", start(StartFailure::Other), 500, "exec: \"x\"".into()),
        ("1.22", "POST /containers/N/start", start(StartFailure::NotFound), 404,
         "Container command not found or does not exist. exec: \"x\"".into()),
        ("1.22", "POST /containers/N/start", start(StartFailure::NotExecutable), 500,
         "Container command could not be invoked. exec: \"x\"".into()),
        ("1.12", "POST /containers/N/start", start(StartFailure::NotFound), 500,
         "Cannot start container N: exec: \"x\": executable file not found in $PATH".into()),
        ("1.18", "POST /images/create?fromSrc=-&repo=B",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 500,
         "Invalid repository name (B), only [a-z0-9-_.] are allowed".into()),
        ("1.22", "POST /images/create?fromSrc=-&repo=B",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 500,
         "Error parsing reference: \"B\" is not a valid repository/tag".into()),
        ("1.24", "POST /images/create?fromSrc=-&repo=B",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 400,
         "invalid reference format: repository name must be lowercase".into()),
        ("1.24", "POST /images/x/tag?repo=B",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 500,
         "invalid reference format: repository name must be lowercase".into()),
        ("1.24", "POST /auth", Refusal::BadLogin { why: "unauthorized: no".into() }, 401, "unauthorized: no".into()),
        ("1.23", "POST /auth", Refusal::BadLogin { why: "unauthorized: no".into() }, 401, "unauthorized: no".into()),
        ("1.22", "POST /auth", Refusal::BadLogin { why: "unauthorized: no".into() }, 401,
         "Wrong login/password, please try again".into()),
        ("1.0", "POST /auth", Refusal::BadLogin { why: "unauthorized: no".into() }, 401,
         "Wrong login/password, please try again".into()),
        ("1.24", pull, Refusal::BadLogin { why: "unauthorized: no".into() }, 500, "unauthorized: no".into()),
        ("1.22", push, Refusal::BadLogin { why: "unauthorized: no".into() }, 500, "unauthorized: no".into()),
        ("1.24", push, no_image("x"), 404, "An image does not exist locally with the tag: x".into()),
        ("1.22", push, no_image("x"), 404, "Repository does not exist: x".into()),
        ("1.0", push, no_image("x"), 404, "Repository does not exist: x".into()),
        ("1.11", "POST /images/x/insert", no_image("x"), 404, "No such image: x".into()),
        ("1.7", "POST /images/getCache", no_image("x"), 404, "No such image: x".into()),
        ("1.24", "POST /images/B/push",
         Refusal::BadReference { reference: "B".into(), why: "repository name must be lowercase" }, 500,
         "invalid reference format: repository name must be lowercase".into()),
        ("1.24", push, Refusal::BadReference { reference: "x".into(), why: "invalid tag format" }, 500,
         "invalid tag format".into()),
        ("1.24", pull, lack("h:5/x", RegistryLack::Access), 404,
         "pull access denied for h:5/x, repository does not exist or may require 'docker login': W".into()),
        ("1.24", pull, lack("h:5/x:v", RegistryLack::Manifest), 404, "manifest for h:5/x:v not found: W".into()),
        ("1.23", pull, lack("h:5/x", RegistryLack::Repository), 404, "repository h:5/x not found: W".into()),
        ("1.22", pull, lack("h:5/x", RegistryLack::Access), 404, "Error: image h:5/x not found".into()),
        ("1.22", pull, lack("h:5/x:v", RegistryLack::Manifest), 404, "Tag v not found in repository h:5/x".into()),
        ("1.22", pull, lack("h:5/x", RegistryLack::Manifest), 404, "Tag latest not found in repository h:5/x".into()),
        ("1.0", pull, lack("x@sha256:ab", RegistryLack::Manifest), 404,
         "Tag sha256:ab not found in repository x".into()),
        ("1.0", pull, lack("x", RegistryLack::Repository), 404, "Error: image x not found".into()),
        ("1.24", pull, Refusal::ReservedName { name: "scratch".into() }, 403, "'scratch' is a reserved name".into()),
        ("1.22", pull, Refusal::ReservedName { name: "scratch".into() }, 500, "'scratch' is a reserved name".into()),
        ("1.12", pause, missing(), 404, "no such id: N".into()),
        ("1.24", pause, missing(), 404, "No such container: N".into()),
        ("1.12", pause, stopped(), 500, format!("Cannot pause container N: Container {ID} is not running")),
        ("1.22", pause, stopped(), 500, format!("Cannot pause container N: Container {ID} is not running")),
        ("1.23", pause, stopped(), 409, format!("Container {ID} is not running")),
        ("1.12", pause, Refusal::AlreadyPaused { id: id(), name: name() }, 500,
         format!("Cannot pause container N: Container {ID} is already paused")),
        ("1.23", pause, Refusal::AlreadyPaused { id: id(), name: name() }, 409,
         format!("Container {ID} is already paused")),
        ("1.22", "POST /containers/N/unpause", Refusal::NotPaused { id: id(), name: name() }, 500,
         format!("Cannot unpause container N: Container {ID} is not paused")),
        ("1.24", "POST /containers/N/unpause", Refusal::NotPaused { id: id(), name: name() }, 500,
         format!("Container {ID} is not paused")),
        ("1.22", "POST /containers/N/start", is_paused(), 500,
         "Cannot start a paused container, try unpause instead.".into()),
        ("1.23", "POST /containers/N/start", is_paused(), 409,
         "cannot start a paused container, try unpause instead".into()),
        ("1.22", "POST /containers/N/stop", is_paused(), 500,
         format!("Cannot stop container N: Container {ID} is paused. Unpause the container before stopping")),
        ("1.24", "POST /containers/N/stop", is_paused(), 409, format!("Container {ID} is paused")),
        ("1.24", "POST /containers/N/attach", is_paused(), 409,
         "container N is paused, unpause the container before attach".into()),
        ("1.18", rename, name_in_use(), 409,
         "Error when allocating new name: Conflict. The name \"N\" is already in use by container 4fa6e0f0c678. You \
          have to delete (or rename) that container to be able to reuse that name.".into()),
        ("1.22", rename, name_in_use(), 409,
         format!("Error when allocating new name: Conflict. The name \"/N\" is already in use by container {ID}. You \
                  have to remove (or rename) that container to be able to reuse that name.")),
        ("1.24", rename, name_in_use(), 409,
         format!("Error when allocating new name: Conflict. The container name \"/N\" is already in use by container \
                  \"{ID}\". You have to remove (or rename) that container to be able to reuse that name.")),
        ("1.18", rename, unchanged(), 409,
         "Error when allocating new name: Conflict. The name \"N\" is already in use by container 4fa6e0f0c678. You \
          have to delete (or rename) that container to be able to reuse that name.".into()),
        ("1.22", rename, unchanged(), 409,
         format!("Error when allocating new name: Conflict. The name \"/N\" is already in use by container {ID}. You \
                  have to remove (or rename) that container to be able to reuse that name.")),
        ("1.23", rename, unchanged(), 400, "Renaming a container with the same name as its current name".into()),
        ("1.18", rename, Refusal::BadContainerName { name: "b d".into() }, 500,
         "Error when allocating new name: Invalid container name (b d), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
             .into()),
        ("1.22", rename, Refusal::BadContainerName { name: "b d".into() }, 500,
         "Error when allocating new name: Invalid container name (/b d), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
             .into()),
        ("1.24", rename, Refusal::BadContainerName { name: "b d".into() }, 400,
         "Error when allocating new name: Invalid container name (/b d), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
             .into()),
        ("1.0", restart, start(StartFailure::NotFound), 500,
         "Cannot restart container N: exec: \"x\": executable file not found in $PATH".into()),
        ("1.22", restart, start(StartFailure::NotExecutable), 500,
         "Cannot restart container N: exec: \"x\": permission denied".into()),
        ("1.24", restart, start(StartFailure::Other), 500, "Cannot restart container N: exec: \"x\"".into()),
        ("1.3", top, missing(), 404, "no such id: N".into()),
        ("1.18", top, stopped(), 500, "Container N is not running".into()),
        ("1.22", top, stopped(), 500, "Container N is not running".into()),
        ("1.23", top, stopped(), 409, format!("Container {ID} is not running")),
        ("1.18", exec, stopped(), 500, "Container N is not running".into()),
        ("1.22", exec, stopped(), 500, "Container N is not running".into()),
        ("1.24", exec, stopped(), 409, format!("Container {ID} is not running")),
        ("1.20", exec, is_paused(), 500, "Container N is paused, unpause the container before exec".into()),
        ("1.21", exec, is_paused(), 409, "Container N is paused, unpause the container before exec".into()),
        ("1.24", exec, is_paused(), 409, "Container N is paused, unpause the container before exec".into()),
        ("1.15", exec_start, stopped(), 500, "Container N is not running".into()),
        ("1.20", exec_start, stopped(), 500, "Container N is not running".into()),
        ("1.21", exec_start, stopped(), 409, format!("Container {ID} is not running")),
        ("1.20", exec_start, is_paused(), 500, "Container N is paused, unpause the container before exec".into()),
        ("1.21", exec_start, is_paused(), 409,
         format!("Container {ID} is paused, unpause the container before exec")),
        ("1.15", exec_start, no_exec(), 404, "No such exec instance 'E' found in daemon".into()),
        ("1.24", exec_start, no_exec(), 404, "No such exec instance: E".into()),
        ("1.22", "GET /exec/E/json", no_exec(), 404, "No such exec instance 'E' found in daemon".into()),
        ("1.23", "GET /exec/E/json", no_exec(), 404, "No such exec instance: E".into()),
        ("1.22", exec_start, Refusal::ExecRunning { id: "E".into() }, 409,
         "Error: Exec command E is already running".into()),
        ("1.24", exec_start, Refusal::ExecEnded { id: "E".into() }, 409,
         "Error: Exec command E has already run".into()),
        ("1.23", exec_resize, Refusal::ExecNotRunning { id: "E".into() }, 404, "no such exec".into()),
        ("1.24", "POST /images/create?fromImage=x", Refusal::NotSupported("pull".into()), 501, "gantry does not support pull yet".into()),
    ];
    for (version, request, refusal, status, message) in rows {
        let (method, path) = request.split_once(' ').expect(request);
        let mut exchange = begin(method, &format!("/v{version}{path}"), None).expect(request);
        let response = exchange.respond(Reply::Refused(refusal));
        let found = (response.status, text(&response));
        assert_eq!(found, (status, message), "v{version} {request}");
    }
}

#[test]
fn killing_what_does_not_run_was_no_error() {
    let refused = || {
        Reply::Refused(Refusal::ContainerNotRunning {
            id: ID.into(),
            name: "N".into(),
        })
    };
    for (version, status) in [("1.0", 204), ("1.19", 204), ("1.20", 500), ("1.24", 409)] {
        let mut exchange = begin("POST", &format!("/v{version}/containers/N/kill"), None).expect(version);
        let response = exchange.respond(refused());
        assert_eq!(response.status, status, "{version}");
        assert_eq!(response.body == ResponseBody::None, status == 204, "{version}");
    }
}

#[test]
fn resizing_an_exec_that_had_ended_was_no_error() {
    for (version, status) in [("1.15", 201), ("1.22", 201), ("1.23", 404), ("1.24", 404)] {
        let mut exchange = begin("POST", &format!("/v{version}/exec/E/resize?h=1&w=1"), None).expect(version);
        let response = exchange.respond(Reply::Refused(Refusal::ExecNotRunning { id: "E".into() }));
        assert_eq!(response.status, status, "{version}");
        assert_eq!(response.body == ResponseBody::None, status == 201, "{version}");
    }
}
