#!/bin/sh
# Makes the certificates of the tests anew: one for the loopback that signs itself, its key, and a key of nobody.
set -eu
cd "$(dirname "$0")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj '/CN=bacalhau-node tests' \
  -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1' -keyout key.pem -out cert.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out other-key.pem
