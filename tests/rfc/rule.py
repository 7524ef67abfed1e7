"""Every MUST and MUST NOT of RFC 9110 and RFC 9112 that binds a gateway, or the server and the client that it is, and
the tests that show it.

A rule is in a line of its own by the section that states it. `tests` name what shows it, `FILE::FUNCTION` below tests/;
those in tests/rfc are there because no other test shows it. `clause` is the number of the rule in the list of fifty
that the gateway was built by, where it is among them.
"""

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """One requirement.

    section  number of the RFC and of the section in it
    text     what it asks of the gateway, in our words
    tests    what shows that it is kept
    clause   its number in the list of fifty, or 0
    """

    section: str
    text: str
    tests: tuple[str, ...]
    clause: int = 0


_HEAD: Final = "wire/test_request_head.py::test_refuses_a_head_that_is_not_http_1_1"
_FRAMING: Final = "wire/test_request_framing.py::test_refuses_a_length_that_is_not_certain"
_CHUNKS: Final = "wire/test_request_framing.py::test_refuses_a_chunk_that_is_malformed"
_HOSTILE: Final = "wire/test_response.py::test_an_answer_that_is_not_certain_is_502"
_BROKEN: Final = "wire/test_response.py::test_an_answer_that_breaks_off_is_never_a_whole_one_for_the_client"
_INTERIM: Final = "wire/test_response.py::test_interim_responses_reach_a_client_of_http_1_1"
_NO_BODY: Final = "wire/test_response.py::test_204_has_neither_body_nor_length"
_ORDER: Final = "wire/test_forwarding_fields.py::test_fields_keep_their_order_case_and_repetition"
_ANSWER_ORDER: Final = (
    "wire/test_forwarding_fields.py::test_an_answers_fields_keep_their_order_case_and_repetition"
)
_TARGET: Final = "wire/test_target.py::test_a_target_reaches_the_upstream_byte_for_byte"
_ABSOLUTE: Final = (
    "wire/test_target.py::test_an_absolute_form_target_is_accepted_and_its_authority_replaces_host"
)
_TRAILERS: Final = "wire/test_trailers.py::"
_TUNNEL: Final = "wire/test_tunnel.py::"
_OWN: Final = "rfc/test_rfc9110.py::"
_OWN_12: Final = "rfc/test_rfc9112.py::"

RULES: Final[tuple[Rule, ...]] = (
    # ---- RFC 9110
    Rule(
        "9110 3.3",
        "Two requests of one connection are not taken to be of one user.",
        (_OWN + "test_3_3_each_request_of_a_connection_is_judged_by_itself",),
    ),
    Rule(
        "9110 4.2.1",
        "An http URI with an empty host is refused.",
        ("wire/test_target.py::test_a_target_of_no_known_form_is_400",),
    ),
    Rule("9110 5.1", "A field that is not known is forwarded.", (_ORDER, _ANSWER_ORDER), 8),
    Rule(
        "9110 5.3",
        "The order of field lines of one name is not changed.",
        (_ORDER, _ANSWER_ORDER),
        9,
    ),
    Rule(
        "9110 5.3",
        "A request is not applied before its whole header section has been received.",
        (_OWN + "test_5_3_nothing_is_applied_before_the_whole_header_section_is_here",),
    ),
    Rule(
        "9110 5.3",
        "A field that is no list is not sent twice.",
        (
            "wire/test_forwarding_fields.py::test_repeated_ids_and_dates_of_an_upstream_are_collapsed_to_one",
            "wire/test_forwarding_fields.py::test_nothing_is_added_but_what_the_gateway_says_of_itself",
        ),
    ),
    Rule(
        "9110 5.4",
        "Fields that are larger than is wanted are answered with a 4xx.",
        (
            "wire/test_request_head.py::test_a_field_that_is_too_long_is_431",
            "wire/test_request_head.py::test_more_fields_than_allowed_is_431",
            "wire/test_request_head.py::test_fields_that_are_too_large_together_are_431",
            "wire/test_request_head.py::test_a_head_that_never_ends_is_431_before_it_fills_the_memory",
        ),
    ),
    Rule("9110 5.5", "CR, LF and NUL in a value are refused.", (_HEAD, _HOSTILE), 10),
    Rule(
        "9110 5.5",
        "White space around a value is excluded before it is looked at.",
        (
            _OWN + "test_5_5_white_space_around_a_value_is_not_of_it",
            "upstream/test_connection.py::test_white_space_behind_a_value_is_not_of_it",
        ),
    ),
    Rule(
        "9110 5.6.1",
        "Empty members of a list are read and ignored.",
        (_OWN + "test_5_6_1_empty_members_of_a_list_are_ignored",),
    ),
    Rule(
        "9110 5.6.7",
        "A date is written as an IMF-fixdate.",
        (
            _OWN + "test_6_6_1_the_gateways_own_answers_have_a_date",
            "http/test_date.py::test_writes_imf_fixdate",
        ),
    ),
    Rule(
        "9110 6.4.1",
        "A response to HEAD, a 204 and a 304 have no content.",
        (
            "wire/test_response.py::test_head_keeps_the_length_that_the_upstream_gives_and_has_no_body",
            _NO_BODY,
            "wire/test_response.py::test_304_keeps_its_length_and_has_no_body",
        ),
        43,
    ),
    Rule(
        "9110 6.5.1",
        "Trailers are not merged into the header section.",
        (
            "wire/test_request_framing.py::test_trailers_are_not_merged_into_the_fields",
            "wire/test_request_framing.py::test_trailers_are_not_merged_into_the_fields_of_the_next_request",
            "wire/test_response.py::test_trailers_of_an_answer_are_not_merged_into_its_fields",
        ),
        26,
    ),
    Rule(
        "9110 6.5.1",
        "Trailers go to a client that takes them, and fields that frame or route a message are none.",
        (
            _TRAILERS + "test_a_client_that_says_te_gets_the_trailers",
            _TRAILERS + "test_a_client_that_does_not_gets_none_and_the_upstream_is_not_asked",
            _TRAILERS + "test_fields_that_must_not_be_trailers_are_dropped",
        ),
    ),
    Rule(
        "9110 6.6.1",
        "A response that is forwarded without a Date gets one, and one of our own has one.",
        (
            "wire/test_forwarding_fields.py::test_a_missing_date_is_added_and_a_server_is_neither_added_nor_changed",
            _OWN + "test_6_6_1_the_gateways_own_answers_have_a_date",
        ),
        24,
    ),
    Rule(
        "9110 7.2",
        "A request that is sent on has a Host.",
        (
            _OWN_12 + "test_3_2_every_request_that_the_gateway_sends_has_one_host",
            "wire/test_forwarding_fields.py::test_a_client_of_http_1_0_without_host_is_served",
        ),
    ),
    Rule(
        "9110 7.6",
        "A message is not forwarded to ourselves without end.",
        (
            "wire/test_loop.py::test_more_passes_than_allowed_are_508",
            "wire/test_loop.py::test_a_gateway_in_front_of_itself_answers_508_once_and_is_not_lost",
        ),
        46,
    ),
    Rule(
        "9110 7.6",
        "What is not known is forwarded: statuses and methods.",
        (
            "wire/test_response.py::test_every_status_is_forwarded_with_its_phrase",
            "wire/test_request_head.py::test_every_method_that_the_parser_knows_is_forwarded",
        ),
        49,
    ),
    Rule(
        "9110 7.6.1",
        "What Connection names is removed from a request, and Connection itself.",
        (
            "wire/test_forwarding_fields.py::test_fields_that_connection_names_stop_here_in_a_request",
            _OWN + "test_7_6_1_a_field_of_the_name_of_an_option_stops_here",
        ),
        5,
    ),
    Rule(
        "9110 7.6.1",
        "What Connection names is removed from a response, and Connection itself.",
        (
            "wire/test_forwarding_fields.py::test_hop_by_hop_fields_of_an_answer_never_cross",
            _OWN + "test_7_6_1_a_field_of_the_name_of_an_option_stops_here",
            _TRAILERS + "test_a_trailer_field_that_connection_names_stays_here",
        ),
        6,
    ),
    Rule(
        "9110 7.6.1",
        "Fields of one hop never cross, also where Connection does not name them.",
        (
            "wire/test_forwarding_fields.py::test_hop_by_hop_fields_of_a_request_never_cross",
            "wire/test_forwarding_fields.py::test_hop_by_hop_fields_of_an_answer_never_cross",
        ),
        7,
    ),
    Rule(
        "9110 7.6.2",
        "Max-Forwards of OPTIONS is answered here at 0, and counted down otherwise.",
        (
            "wire/test_forwarding_fields.py::test_options_with_max_forwards_zero_is_answered_here",
            "wire/test_forwarding_fields.py::test_max_forwards_of_options_counts_down_and_is_never_generated",
            _OWN + "test_7_6_2_a_number_of_hops_is_counted_down_however_it_is_written",
        ),
        25,
    ),
    Rule(
        "9110 7.6.3",
        "A request reaches the upstream with our member of Via last, of the version that was received.",
        (
            "wire/test_forwarding_fields.py::test_via_members_are_kept_in_front_of_ours",
            "wire/test_forwarding_fields.py::test_the_request_line_is_ours_whatever_the_version_of_the_client",
        ),
        1,
    ),
    Rule(
        "9110 7.6.3",
        "Members of Via that are there already are kept, in their order.",
        (
            "wire/test_forwarding_fields.py::test_via_members_are_kept_in_front_of_ours",
            "wire/test_forwarding_fields.py::test_via_of_the_answer_names_the_version_that_the_upstream_spoke",
        ),
        2,
    ),
    Rule(
        "9110 7.6.3",
        "Members of Via with different protocols are not combined.",
        (
            "wire/test_forwarding_fields.py::test_via_members_are_kept_in_front_of_ours",
            _OWN + "test_7_6_3_members_of_one_protocol_are_not_combined",
        ),
        3,
    ),
    Rule("9110 7.7", "Path and query are not changed.", (_TARGET,), 11),
    Rule(
        "9110 7.7",
        "Content is not transformed, with `no-transform` or without.",
        (
            "wire/test_response.py::test_no_content_is_transformed",
            _OWN + "test_7_7_content_that_must_not_be_transformed_is_not",
        ),
        12,
    ),
    Rule(
        "9110 7.8",
        "Upgrade is of one hop: what is offered on is what the route allows, with its option.",
        (
            _TUNNEL + "test_an_upgrade_that_the_route_allows_becomes_a_tunnel",
            _TUNNEL + "test_only_the_protocols_that_the_route_allows_are_offered",
            _TUNNEL + "test_an_upgrade_that_is_not_allowed_is_dropped",
            "wire/test_request_head.py::test_an_upgrade_that_is_not_taken_is_an_ordinary_request",
        ),
    ),
    Rule(
        "9110 7.8",
        "A protocol that was not offered is not switched to.",
        (
            _TUNNEL + "test_a_101_to_what_offers_nothing_is_502",
            _TUNNEL + "test_a_101_that_takes_something_else_is_502",
            "wire/test_response.py::test_101_without_a_tunnel_is_502",
        ),
    ),
    Rule(
        "9110 8",
        "What describes content is not changed.",
        (_OWN + "test_8_what_describes_content_travels_as_it_came",),
    ),
    Rule(
        "9110 8.6",
        "A length that is wrong is not forwarded.",
        (
            _HOSTILE,
            _BROKEN,
            "wire/test_bug_isolation.py::test_a_filter_cannot_falsify_the_length_of_a_message",
        ),
        13,
    ),
    Rule("9110 8.6", "A list of lengths is refused, and so is what is no number.", (_FRAMING, _HOSTILE), 14),
    Rule("9110 8.6", "A 1xx and a 204 are sent without a length.", (_NO_BODY, _HOSTILE)),
    Rule(
        "9110 8.6",
        "A response to HEAD has the length that the same GET would have, or none.",
        ("wire/test_streaming.py::test_head_has_no_length_where_a_filter_would_change_it",),
    ),
    Rule("9110 9.1", "The method is told by its case.", (_HEAD,)),
    Rule(
        "9110 9.2.2",
        "A request that is not idempotent is not sent again by itself.",
        (
            "wire/test_retry.py::test_a_post_is_never_sent_twice",
            "wire/test_retry.py::test_a_get_is_sent_twice_at_the_most",
        ),
        15,
    ),
    Rule(
        "9110 9.3.2",
        "A response to HEAD has no content, whoever makes it.",
        (
            _OWN + "test_9_3_2_head_is_refused_without_content_whatever_is_wrong_with_it",
            "wire/test_request_head.py::test_a_refusal_of_a_head_request_has_no_body",
            "wire/test_response.py::test_head_of_a_chunked_answer_has_no_body",
        ),
    ),
    Rule("9110 9.3.6", "CONNECT and TRACE are refused.", (_HEAD,), 50),
    Rule(
        "9110 9.3.7",
        "An answer to OPTIONS without content says so.",
        (_OWN + "test_9_3_7_the_gateways_own_answer_to_options_has_its_length",),
    ),
    Rule(
        "9110 9.3.7",
        "Max-Forwards is not made.",
        ("wire/test_forwarding_fields.py::test_max_forwards_of_options_counts_down_and_is_never_generated",),
    ),
    Rule(
        "9110 10.1.1",
        "An expectation is answered at once where the head decides, and forwarded otherwise.",
        (
            "wire/test_streaming.py::test_an_expectation_is_refused_at_once_where_the_head_decides",
            "wire/test_streaming.py::test_an_expectation_is_forwarded_and_the_upstreams_100_relayed",
        ),
        16,
    ),
    Rule(
        "9110 10.1.1",
        "An expectation in HTTP/1.0 is ignored.",
        (
            _OWN + "test_10_1_1_an_expectation_in_http_1_0_is_ignored",
            "wire/test_streaming.py::test_a_client_of_http_1_0_never_gets_a_100",
        ),
    ),
    Rule(
        "9110 10.1.1",
        "A 100 is followed by a final status.",
        (_OWN + "test_10_1_1_a_100_is_followed_by_a_final_status",),
    ),
    Rule(
        "9110 10.1.1",
        "No expectation is sent with a request that has no content.",
        (_OWN + "test_10_1_1_an_expectation_without_content_goes_no_further",),
    ),
    Rule(
        "9110 10.1.4",
        "TE is of one hop, and is sent with its option only.",
        (
            _OWN + "test_10_1_4_te_is_not_passed_on",
            _TRAILERS + "test_te_without_its_connection_option_asks_the_upstream_for_nothing",
        ),
    ),
    Rule(
        "9110 10.2.1",
        "Allow of the upstream is not changed.",
        (_OWN + "test_10_2_context_of_a_response_travels_as_it_came",),
        17,
    ),
    Rule(
        "9110 11.6.1",
        "WWW-Authenticate of the upstream is not changed.",
        (_OWN + "test_11_6_credentials_and_challenges_are_not_changed",),
        18,
    ),
    Rule(
        "9110 11.6.2",
        "Authorization is not changed.",
        (_OWN + "test_11_6_credentials_and_challenges_are_not_changed",),
        19,
    ),
    Rule(
        "9110 11.7.1",
        "A 407 of our own would have a challenge; there is none.",
        (_OWN + "test_11_7_1_and_15_5_20_what_is_not_ours_to_make_is_passed_on",),
    ),
    Rule(
        "9110 12.5.5",
        "No `Vary: *` is made.",
        (_OWN + "test_12_5_5_no_vary_is_made_of_an_asterisk",),
        20,
    ),
    Rule(
        "9110 13.2.1",
        "Preconditions are forwarded and not evaluated.",
        (_OWN + "test_13_2_1_preconditions_are_left_to_the_origin",),
        21,
    ),
    Rule(
        "9110 14.4",
        "Ranges of a unit that is not known are forwarded and not recombined.",
        (_OWN + "test_14_ranges_are_left_to_the_origin",),
    ),
    Rule(
        "9110 15.2",
        "A 1xx is forwarded, unless we asked for it.",
        (
            _INTERIM,
            "wire/test_streaming.py::test_another_interim_response_reaches_a_client_that_waits_for_100",
            _OWN + "test_15_2_every_interim_response_before_the_final_one_is_read",
        ),
        22,
    ),
    Rule(
        "9110 15.2",
        "No 1xx is sent to a client of HTTP/1.0.",
        ("wire/test_response.py::test_interim_responses_do_not_reach_a_client_of_http_1_0",),
    ),
    Rule(
        "9110 15.2.2",
        "A 101 that is passed on says what is switched to.",
        (_TUNNEL + "test_an_upgrade_that_the_route_allows_becomes_a_tunnel",),
    ),
    Rule(
        "9110 15.3.6",
        "A 205 has no content that we made.",
        (_OWN + "test_15_3_6_a_205_keeps_its_empty_content",),
    ),
    Rule(
        "9110 15.5.2",
        "A 401 of our own has WWW-Authenticate.",
        (
            _OWN + "test_15_5_2_a_401_of_the_gateway_has_a_challenge",
            _OWN + "test_15_5_2_a_decision_that_was_delayed_has_the_challenge_of_who_delayed_it",
        ),
        47,
    ),
    Rule(
        "9110 15.5.6",
        "A 405 of our own has Allow.",
        (
            "wire/test_request_head.py::test_a_method_that_a_filter_forbids_is_405_with_allow_and_not_400",
            "wire/test_target.py::test_no_route_is_404_and_the_connection_stays",
        ),
        48,
    ),
    Rule(
        "9110 15.5.20",
        "No 421 is made.",
        (_OWN + "test_11_7_1_and_15_5_20_what_is_not_ours_to_make_is_passed_on",),
        23,
    ),
    # ---- RFC 9112
    Rule(
        "9112 2.2",
        "A bare CR is refused, and white space before the first field.",
        (_HEAD, _HOSTILE, "upstream/test_connection.py::test_what_the_parser_would_let_pass_is_an_error"),
        38,
    ),
    Rule(
        "9112 2.2",
        "No line end is sent before or behind a request.",
        (_OWN_12 + "test_2_2_nothing_follows_a_request_that_the_gateway_sends",),
    ),
    Rule(
        "9112 2.3",
        "A message carries our own version.",
        (
            _OWN_12 + "test_2_3_every_message_is_of_the_gateways_own_version",
            "wire/test_forwarding_fields.py::test_the_request_line_is_ours_whatever_the_version_of_the_client",
        ),
        4,
    ),
    Rule(
        "9112 3",
        "A target that is too long is 414, and a method that is longer than any known is 501.",
        (
            "wire/test_request_head.py::test_a_target_of_the_longest_length_passes_and_a_longer_one_is_414",
            "wire/test_request_head.py::test_a_target_that_never_ends_is_414_as_soon_as_it_is_too_long",
            _HEAD,
            _OWN_12 + "test_3_a_request_line_of_8000_octets_is_taken",
        ),
        39,
    ),
    Rule("9112 3.2", "No Host, two and an invalid one are 400.", (_HEAD,), 27),
    Rule(
        "9112 3.2",
        "A request that is sent has one Host, of the target where that names one.",
        (_OWN_12 + "test_3_2_every_request_that_the_gateway_sends_has_one_host", _ABSOLUTE),
    ),
    Rule("9112 3.2.1", "An empty path is sent as `/`.", (_ABSOLUTE,)),
    Rule("9112 3.2.2", "The absolute form is taken, and its authority replaces Host.", (_ABSOLUTE,), 28),
    Rule(
        "9112 3.2.4",
        "OPTIONS of a whole server is not sent on as of a path.",
        (
            _OWN_12 + "test_3_2_4_options_of_the_server_as_a_whole_is_none_of_a_path",
            "wire/test_target.py::test_options_with_an_asterisk_is_a_request_for_no_path",
        ),
    ),
    Rule(
        "9112 4",
        "The space before the phrase is sent, and the phrase says nothing.",
        (
            _OWN_12 + "test_4_the_space_before_an_absent_phrase_is_sent",
            _OWN_12 + "test_4_a_phrase_says_nothing",
        ),
    ),
    Rule(
        "9112 5.1",
        "White space before a colon is 400 in a request, and is not forwarded in a response.",
        (_HEAD, _HOSTILE),
        29,
    ),
    Rule("9112 5.2", "A folded line is 400 in a request and 502 in a response.", (_HEAD, _HOSTILE), 30),
    Rule(
        "9112 6.1",
        "Transfer-Encoding beside Content-Length: 400, and the connection ends.",
        (_FRAMING, _HOSTILE),
        31,
    ),
    Rule("9112 6.1", "Transfer-Encoding in HTTP/1.0 is faulty framing.", (_FRAMING, _HOSTILE), 33),
    Rule(
        "9112 6.1",
        "No Transfer-Encoding in a 1xx and a 204, and none to a client of HTTP/1.0.",
        (
            _INTERIM,
            _NO_BODY,
            "wire/test_response.py::test_a_whole_answer_to_a_client_of_http_1_0_ends_in_order",
        ),
        37,
    ),
    Rule(
        "9112 6.2",
        "No Content-Length beside Transfer-Encoding.",
        (_OWN_12 + "test_6_2_a_message_that_the_gateway_sends_is_framed_once",),
    ),
    Rule(
        "9112 6.3", "A coding that does not end with chunked: 400, and the connection ends.", (_FRAMING,), 32
    ),
    Rule(
        "9112 6.3",
        "A length that is invalid: 400 and the end of the connection; 502 and the end of the upstream's.",
        (_FRAMING, _HOSTILE),
        34,
    ),
    Rule(
        "9112 6.3",
        "A response that ends before its length is never a whole one.",
        (_BROKEN,),
        35,
    ),
    Rule(
        "9112 6.3",
        "A response that has no body by its kind ends with its head.",
        (_OWN_12 + "test_6_3_a_response_to_what_was_not_asked_is_not_waited_for",),
    ),
    Rule(
        "9112 6.3",
        "Data behind a response is never used as another.",
        (
            "wire/test_response.py::test_bytes_behind_an_answer_are_never_used_as_another",
            "wire/test_response.py::test_a_body_behind_an_answer_to_head_is_never_used_as_another_answer",
            _OWN_12 + "test_6_3_data_behind_a_response_is_of_no_other",
            "upstream/test_connection.py::test_bytes_behind_a_message_cost_the_connection_however_few",
        ),
        42,
    ),
    Rule(
        "9112 7.1",
        "The chunked coding is read, and a size beyond bounds is an error.",
        (_CHUNKS, _HOSTILE),
        36,
    ),
    Rule(
        "9112 7.1.1",
        "Chunk extensions that are not known are ignored; what is malformed is refused.",
        (
            _OWN_12 + "test_7_1_1_chunk_extensions_are_ignored_and_stop_here",
            _OWN_12 + "test_7_1_1_white_space_in_a_chunk_extension_is_refused",
        ),
    ),
    Rule("9112 8", "A message that is not whole is not passed on as one.", (_BROKEN, _CHUNKS)),
    Rule(
        "9112 9.2",
        "Data on a connection on which nothing was asked is no response.",
        ("wire/test_retry.py::test_a_pooled_connection_that_speaks_unasked_is_not_used",),
    ),
    Rule(
        "9112 9.3",
        "The body of a request is read, or the connection ends with the answer.",
        (
            "wire/test_connection.py::test_an_early_refusal_is_readable_for_a_client_that_is_still_uploading",
            "wire/test_connection.py::test_bytes_that_come_while_lingering_are_never_a_request",
        ),
        40,
    ),
    Rule(
        "9112 9.3",
        "No connection is kept with a client of HTTP/1.0.",
        ("wire/test_connection.py::test_no_persistent_connection_with_a_client_of_http_1_0",),
        45,
    ),
    Rule(
        "9112 9.3",
        "One response is awaited on a connection at a time.",
        (_OWN_12 + "test_9_3_one_request_at_a_time_is_sent_to_an_upstream",),
    ),
    Rule(
        "9112 9.3.1",
        "A request that is not idempotent is not sent again by itself.",
        ("wire/test_retry.py::test_a_post_is_never_sent_twice",),
    ),
    Rule(
        "9112 9.3.2",
        "Responses leave in the order of their requests.",
        ("wire/test_connection.py::test_pipelined_answers_leave_in_the_order_of_their_requests",),
        44,
    ),
    Rule(
        "9112 9.6",
        "`close` of a client ends the connection with the answer, and nothing behind it is processed.",
        (
            "wire/test_connection.py::test_connection_close_of_the_client_is_obeyed_and_said",
            _OWN_12 + "test_9_6_nothing_behind_a_request_with_close_is_processed",
        ),
        41,
    ),
    Rule(
        "9112 9.6",
        "Behind an answer of ours that says `close` nothing is processed.",
        (_OWN_12 + "test_9_6_nothing_is_processed_behind_an_answer_that_says_close",),
    ),
    Rule(
        "9112 9.6",
        "`close` of an upstream ends the connection.",
        (
            "wire/test_response.py::test_a_connection_that_the_upstream_closes_is_not_used_again",
            "upstream/test_connection.py::test_close_wins_over_keep_alive",
        ),
    ),
    Rule(
        "9112 11.2",
        "Nothing reaches the upstream as another request than was sent.",
        (
            "smuggling/test_smuggling.py::test_the_catalogue",
            "smuggling/test_smuggling.py::test_a_request_split_at_every_byte",
            "smuggling/test_smuggling.py::test_generated_cases",
            "fuzz/test_cases.py::test_a_case_that_failed_once",
        ),
    ),
)
