from __future__ import annotations

from conformance.mesos_unify import Variables


def test_an_id_that_holds_a_port_of_the_trace_among_its_digits_is_left_alone() -> None:
    variables = Variables({"5150": "40000", "trace-stream": "stream-51501"})
    assert variables.text("trace-stream at 127.0.0.1:5150") == "stream-51501 at 127.0.0.1:40000"


def test_without_variables_a_text_stays_as_it_is() -> None:
    assert Variables().text("as it is") == "as it is"
