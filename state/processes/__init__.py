"""Which workers and beats are alive, and which calls wait for a worker."""
