"""Threads that ask while something else happens."""

import threading


class Asking:
    """Asks by `keep_asking` until `done`, in one thread for each of these arguments of it; `wrong` is what was not as it should be."""

    def __init__(self, threads):
        self.done, self.wrong = threading.Event(), []
        self.threads = [threading.Thread(target=self.keep_asking, args=arguments) for arguments in threads]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(10)
