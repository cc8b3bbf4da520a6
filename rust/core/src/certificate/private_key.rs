//! Private keys: made on a curve, or read; they sign certificates, and the handshakes of TLS.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    KeyPair,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{AlgorithmIdentifier, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{SignatureAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

use super::armour;
use crate::error::{Error, ErrorKind};
use crate::settings::Curve;

/// How certificates are signed, by the kind of the signer's key.
const CERTIFICATE_SIGNATURES: [(SignatureScheme, AlgorithmIdentifier); 5] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_SHA256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_SHA384),
    (SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_SHA512),
    (SignatureScheme::RSA_PKCS1_SHA256, alg_id::RSA_PKCS1_SHA256),
    (SignatureScheme::ED25519, alg_id::ED25519),
];

/// A private key. It has no `Debug` and is wiped when dropped.
#[derive(Clone)]
pub(crate) struct PrivateKey {
    signing_key: Arc<dyn SigningKey>,
    der: Arc<Zeroizing<PrivateKeyDer<'static>>>,
}

impl PrivateKey {
    /// A fresh key.
    pub(super) fn generate(curve: Curve) -> Result<Self, Error> {
        let (algorithm, scheme, curve_id) = match curve {
            Curve::P256 => {
                (&ECDSA_P256_SHA256_ASN1_SIGNING, SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_P256)
            }
            Curve::P384 => {
                (&ECDSA_P384_SHA384_ASN1_SIGNING, SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_P384)
            }
            Curve::P521 => {
                (&ECDSA_P521_SHA512_ASN1_SIGNING, SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_P521)
            }
        };
        let failed = |_| Error::new(ErrorKind::IdentityFailed, "a private key could not be made");
        let pair = EcdsaKeyPair::generate(algorithm).map_err(failed)?;
        let der = PrivatePkcs8KeyDer::from(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec());
        let signing_key = Arc::new(EcdsaKey { pair: Arc::new(pair), scheme, curve_id });
        Ok(Self { signing_key, der: Arc::new(Zeroizing::new(der.into())) })
    }

    /// A key that was read; None if it is of no kind that TLS can use.
    pub(super) fn from_der(der: PrivateKeyDer<'static>) -> Option<Self> {
        let der = Zeroizing::new(der);
        let signing_key = any_supported_type(&der).ok()?;
        Some(Self { signing_key, der: Arc::new(der) })
    }

    /// The key as rustls wants it.
    pub(crate) fn signing_key(&self) -> Arc<dyn SigningKey> {
        self.signing_key.clone()
    }

    /// The key as PEM, for callers that ask for it by name; never for logs.
    pub(super) fn pem(&self) -> Zeroizing<String> {
        let label = match **self.der {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        armour::encode(label, self.der.secret_der())
    }

    /// The public key, in DER.
    pub(super) fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.signing_key.public_key()
    }

    /// The signer of certificates, and the name of its algorithm in them.
    pub(super) fn certificate_signer(&self) -> Option<(Box<dyn Signer>, AlgorithmIdentifier)> {
        let signer = self.signing_key.choose_scheme(&CERTIFICATE_SIGNATURES.map(|(scheme, _)| scheme))?;
        let chosen = CERTIFICATE_SIGNATURES.into_iter().find(|(scheme, _)| *scheme == signer.scheme())?;
        Some((signer, chosen.1))
    }
}

/// A key that was made here, without the way through PKCS #8: reading costs as much as making it, above all on P-521.
#[derive(Debug, Clone)]
struct EcdsaKey {
    pair: Arc<EcdsaKeyPair>,
    scheme: SignatureScheme,
    curve_id: AlgorithmIdentifier,
}

impl SigningKey for EcdsaKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_to_spki(&self.curve_id, self.pair.public_key()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for EcdsaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| rustls::Error::General("signing failed".to_owned()))?;
        Ok(signature.as_ref().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
