"""`python -m shared [SERVICE ...]`: one worker for several services (the embedded cluster)."""

from shared.worker import main

main()
