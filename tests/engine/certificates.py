"""A certificate for tests: a root and a signer of two days, as C2PA wants them: for e-mail, and not self-signed."""

import datetime
from pathlib import Path

from keepface.engine.credentials import Certificate


def make_certificate(folder: Path) -> Certificate:
    """Write chain.pem and key.pem into a folder; needs the package cryptography."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)

    def name(text: str) -> "x509.Name":
        return x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, text)])

    def begun(text: str, public: ec.EllipticCurvePublicKey, is_root: bool) -> "x509.CertificateBuilder":
        usage = x509.KeyUsage(not is_root, False, False, False, False, is_root, is_root, False, False)
        return (
            x509.CertificateBuilder()
            .subject_name(name(text))
            .issuer_name(name("Test root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(is_root, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )

    root = begun("Test root", root_key.public_key(), True).sign(root_key, hashes.SHA256())
    purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
    signer = begun("Test signer", key.public_key(), False).add_extension(purpose, critical=False)
    pem = serialization.Encoding.PEM
    chain = signer.sign(root_key, hashes.SHA256()).public_bytes(pem) + root.public_bytes(pem)
    (folder / "chain.pem").write_bytes(chain)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return Certificate(folder / "chain.pem", folder / "key.pem")
