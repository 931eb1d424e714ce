"""The rules of compute: servers and their life, flavors, keypairs. Knows the store, never HTTP."""
