"""The task "this one, but with a v-neck"."""
