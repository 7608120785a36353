//! AWS's own names for the stub, for peers that know no other endpoint. Each service is at its own
//! host, as on AWS, by an /etc/hosts that only this process and the peers see.

use std::ffi::CString;
use std::io;
use std::path::Path;

/// Each service with its address and its name.
pub const NAMED: [(&str, &str, &str); 3] = [
    (
        "DynamoDB",
        "127.0.0.2:443",
        "dynamodb.eu-west-1.amazonaws.com",
    ),
    ("SQS", "127.0.0.3:443", "sqs.eu-west-1.amazonaws.com"),
    (
        "SecretsManager",
        "127.0.0.4:443",
        "secretsmanager.eu-west-1.amazonaws.com",
    ),
];

/// Makes the names known. Call this before any thread starts, because each thread has its own mount
/// namespace.
pub fn announce(out: &Path) -> io::Result<()> {
    let mut hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    for (_, address, name) in NAMED {
        let (ip, _) = address.split_once(':').unwrap_or((address, ""));
        hosts += &format!("\n{ip} {name}\n");
    }
    let file = out.join("hosts");
    std::fs::write(&file, hosts)?;
    let file = CString::new(file.as_os_str().as_encoded_bytes())?;
    let done = |rc: libc::c_int| match rc {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let none = std::ptr::null();
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: every string is NUL-terminated and lives through its call.
    unsafe {
        done(libc::unshare(libc::CLONE_NEWNS))?;
        done(libc::mount(
            none,
            c"/".as_ptr(),
            none,
            private,
            std::ptr::null(),
        ))?;
        let hosts = c"/etc/hosts".as_ptr();
        done(libc::mount(
            file.as_ptr(),
            hosts,
            none,
            libc::MS_BIND,
            std::ptr::null(),
        ))
    }
}
