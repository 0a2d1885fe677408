"""The error codes of HttpParser.

pymesos imports INVALID_CHUNK when a parser has the attribute `errno`, and takes that code for "needs more data".
HttpParser keeps an unfinished chunk to itself, so that code is never set.
"""

OK = 0
INVALID_CHUNK = 1
TRAILING_DATA = 2
INVALID_MESSAGE = 3
