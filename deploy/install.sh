#!/bin/sh
# What the Dockerfile's builders run, so that seven stages do the same.
#   install.sh lock SERVICE      the service's packages, by hashes
#   install.sh extra PACKAGE     one package without a hash (torch)
#   install.sh project SERVICE   the project's wheel, then the service's compiled loops
set -eu

pip() {
    /opt/pip/bin/pip --python /opt/venv/bin/python --no-cache-dir --disable-pip-version-check "$@"
}

case "$1" in
lock)
    pip install --quiet --require-hashes -r "requirements/services/$2.lock"
    ;;
extra)
    pip install --quiet "$2"
    ;;
project)
    pip install --quiet --no-deps --no-index /wheel/*.whl
    # Tests and headers of libraries are a fifth of an image and never run.
    for package in numba numpy pyarrow; do
        folder=$(echo /opt/venv/lib/python3*/site-packages/$package)
        [ -d "$folder" ] || continue
        find "$folder" -depth -type d \( -name tests -o -name include \) -exec rm -rf {} +
    done
    # Away from the sources: what is compiled must be the installed package.
    mkdir -p /opt/prepared/numba
    cd /opt/prepared
    CORPUSMILL_CACHE=/opt/prepared NUMBA_CACHE_DIR=/opt/prepared/numba \
        /opt/venv/bin/python -m shared.warming "$2"
    chmod -R a+rX /opt/prepared /opt/venv
    ;;
*)
    echo "install.sh: no action $1" >&2
    exit 2
    ;;
esac
